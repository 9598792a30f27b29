"""Trainings that prune: exact counts, zeros through averages and resumption, curves, and what they refuse."""

import dataclasses

import keras
import numpy as np
import pytest

from prune_tools import masks, targets
from prune_tools.mask_set import Masks
from run_tools.checkpoint import MASKS, Checkpoint, masks_of
from run_tools.errors import InputError
from run_tools.files import read_json
from yolo_prune.models import load_detector, load_model
from yolo_prune.pruning.settings import Pruning
from yolo_prune.recipe import Stage
from yolo_prune.trainer import Trainer

# Eight kernels of four channels: 3·3·3·4 = 108 and seven of 3·3·4·4 = 144 weights.
TOTAL = 108 + 7 * 144
TRAINING = {"stages": (Stage("all", 3, 1e-2, warmup=0),), "anchors": "voc"}


def weights_of(path):
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in load_model(path).weights}


@pytest.fixture(scope="module")
def dense(make_detector, tmp_path_factory):
    path = tmp_path_factory.mktemp("dense") / "dense.keras"
    make_detector(widths=(4,) * 8, image_size=(64, 96)).save(path)
    return path


@pytest.fixture
def config(small, small_h5, dense, tmp_path):
    """Makes the config of a training that prunes the dense model."""

    def make(name="run", training=TRAINING, **pruning):
        prune = Pruning(**{"sparsity": 0.6, **pruning})
        return small(small_h5, tmp_path / name, weights=dense, prune=prune, **training)

    return make


class Steps(keras.callbacks.Callback):
    """How many pruned weights are not zero after each step, by the masks of a function."""

    def __init__(self, current):
        super().__init__()
        self.current, self.stray, self.sparsity = current, [], []

    def on_train_batch_end(self, batch, logs=None):
        now = self.current()
        self.stray.append(sum(now.violations(self.model).values()))
        self.sparsity.append(now.pruned)


def watched(trainer, monkeypatch):
    """Adds `Steps` to every `fit` of a trainer."""
    steps = Steps(lambda: (trainer.held._pruner or trainer.held).masks)
    callbacks = Trainer._callbacks
    monkeypatch.setattr(Trainer, "_callbacks", lambda self, *args: [*callbacks(self, *args), steps])
    return steps


def assert_exact(chosen, dense, steps):
    """What a training by `TRAINING` left has exactly so many zeros, and had them after each of its nine steps."""
    assert steps.stray == [0] * 9 and steps.sparsity == [round(0.6 * TOTAL)] * 9
    found = Masks.load(chosen.out / MASKS)
    assert (found.total, found.pruned) == (TOTAL, round(0.6 * TOTAL))
    # The literal algorithm: pool the kernels of all convolutions but the head, and mask below the percentile.
    start = load_detector(dense)
    pooled = np.concatenate([np.abs(kernel.numpy()).ravel() for kernel in targets.kernels(start, "conv")])
    cutoff = np.sort(pooled)[round(0.6 * TOTAL) - 1]
    for name, kept in found.items():
        np.testing.assert_array_equal(kept, np.abs(start.get_layer(name.split("/")[0]).kernel.numpy()) > cutoff)
    for name in ("best.keras", "last.keras"):
        model = load_detector(chosen.out / name)
        assert found.violations(model) == {}
        # It learned, all that lives: none stands where it stood, and none is zero.
        before, after = (each.get_layer("conv_3").kernel.numpy() for each in (start, model))
        kept = found["conv_3/kernel"]
        assert np.count_nonzero(after) == kept.sum() and (after[kept] != before[kept]).all()
    assert not list(chosen.out.glob("epoch-*"))


@pytest.mark.slow
def test_zeros_are_exact_after_every_step_and_in_what_is_saved(config, dense, monkeypatch):
    chosen = config()
    trainer = Trainer(chosen, verbose=0)
    steps = watched(trainer, monkeypatch)
    trainer.fit()
    assert_exact(chosen, dense, steps)


@pytest.mark.parametrize("layers, pool", [(None, TOTAL), (("conv_[3-8]",), 6 * 144)])
def test_frozen_kernels_are_pruned_and_held_unless_layers_leaves_them_out(config, eager, dense, layers, pool):
    frozen = {**TRAINING, "stages": (Stage("top:7", 1, 1e-2, warmup=0),), "ema": 0.5}
    chosen = config(training=frozen, layers=layers)
    Trainer(chosen, verbose=0).fit()
    found = Masks.load(chosen.out / MASKS)
    # Exactly so many of the pool, whether its kernels learn or not.
    assert (found.total, found.pruned) == (pool, round(0.6 * pool))
    assert ("conv_1/kernel" in found, "conv_2/kernel" in found) == (layers is None,) * 2
    before, after = load_detector(dense), load_detector(chosen.out)
    assert found.violations(after) == {}
    for name in ("conv_1", "conv_2", "conv_3"):
        start, now = (model.get_layer(name).kernel.numpy() for model in (before, after))
        kept = found.get(f"{name}/kernel", np.ones(start.shape, bool))
        # Those of frozen layers stand where they stood; those above learned.
        assert np.array_equal(now[kept], start[kept]) is (name != "conv_3")
        assert not now[~kept].any() and (kept.sum() < kept.size) == (f"{name}/kernel" in found)


def assert_ends_alike(whole, cut, epoch):
    """Goes on with `cut`, a training that was cut off in an epoch: it ends with the weights and zeros of `whole`."""
    state = read_json(cut.out / "state.json")
    assert state["epoch"] == epoch and masks_of(cut.out / state["checkpoint"]).is_file()
    Trainer(cut, verbose=0).fit()
    assert Masks.load(cut.out / MASKS) == Masks.load(whole.out / MASKS)
    for name in ("last.keras", "best.keras"):
        expected = weights_of(whole.out / name)
        for path, value in weights_of(cut.out / name).items():
            np.testing.assert_allclose(value, expected[path], atol=1e-6, err_msg=f"{name} {path}")
            np.testing.assert_array_equal(value == 0, expected[path] == 0, err_msg=f"{name} {path}")


@pytest.mark.slow
def test_with_averages_too_and_cut_off_it_ends_like_one_that_was_not(config, dense, monkeypatch, train_leaving):
    training = {**TRAINING, "ema": 0.9, "accumulate": 2, "weight_decay": 0.01}
    whole, cut = config("whole", training), config("cut", training)
    trainer = Trainer(whole, verbose=0)
    with monkeypatch.context() as patched:
        steps = watched(trainer, patched)
        train_leaving(trainer, cut.out, 2)
    assert_exact(whole, dense, steps)
    assert_ends_alike(whole, cut, 2)


@pytest.mark.slow
def test_a_curve_is_zhu_and_guptas_and_only_its_end_is_best_also_where_it_was_cut_off(
    config, monkeypatch, train_leaving
):
    # Nine steps; the ramp ends at step round(.5 · 9) = 4, in the second epoch, the one counted 1.
    whole, cut = (config(name, schedule="cubic", ramp=0.5, every=2, recalibrate=2) for name in ("whole", "cut"))
    trainer = Trainer(whole, verbose=0)
    with monkeypatch.context() as patched:
        steps = watched(trainer, patched)
        train_leaving(trainer, cut.out, 1)
    # At steps 0, 2 and 4: .6 − .6 · (1 − t/4)³, of all weights.
    counts = [round((0.6 - 0.6 * (1 - step / 4) ** 3) * TOTAL) for step in (0, 2, 4)]
    assert steps.sparsity == [counts[0]] * 2 + [counts[1]] * 2 + [counts[2]] * 5
    assert counts[2] == round(0.6 * TOTAL) and steps.stray == [0] * 9
    assert trainer.held.since == 1 and read_json(whole.out / "state.json")["best_epoch"] >= 1
    assert Masks.load(whole.out / MASKS).violations(load_detector(whole.out)) == {}
    # Gone on with from step 3, in the midst of the ramp.
    assert_ends_alike(whole, cut, 1)


def test_pruning_more_keeps_what_was_pruned_and_rewinds(config, eager, dense, tmp_path):
    one = {**TRAINING, "stages": (Stage("all", 1, 1e-2, warmup=0),)}
    first = config("first", one, sparsity=0.3)
    Trainer(first, verbose=0).fit()
    previous = first.out / MASKS
    second = dataclasses.replace(config("second", one, previous=previous), weights=first.out)
    trainer = Trainer(second, verbose=0)
    trainer.fit()
    low, high = Masks.load(previous), Masks.load(second.out / MASKS)
    assert (low.pruned, high.pruned) == (round(0.3 * TOTAL), round(0.6 * TOTAL))
    assert all(not np.any(high[name] & ~low[name]) for name in high)
    # Rewound: what lives is the dense model's, what is pruned was chosen by the trained weights.
    rewound = Trainer(dataclasses.replace(second, prune=dataclasses.replace(second.prune, rewind=dense)), verbose=0)
    rewound._prepare()
    rewound._start()
    before = load_detector(dense)
    for name, kept in high.items():
        layer = name.split("/")[0]
        now, then = (model.get_layer(layer).kernel.numpy() for model in (rewound.model, before))
        np.testing.assert_array_equal(now, np.where(kept, then, 0))


def test_statistics_are_recalibrated_before_the_first_step(config):
    def statistics(trainer):
        trainer._prepare()
        trainer._start()
        return keras.ops.convert_to_numpy(trainer.model.get_layer("norm_8").moving_variance)

    plain, anew = (statistics(Trainer(config(recalibrate=count), verbose=0)) for count in (0, 3))
    # The dense model was never trained: its statistics are a batch-norm's first, a variance of 1.
    assert (plain == 1).all() and (anew != 1).all()
    # Masks change what frozen layers say too, and later nothing would renew their statistics.
    frozen = {**TRAINING, "stages": (Stage("head", 1, 1e-2),)}
    np.testing.assert_array_equal(statistics(Trainer(config("head", frozen, recalibrate=3), verbose=0)), anew)


@pytest.mark.parametrize(
    "scope, function",
    [("layer", "layer_magnitude"), ("lamp", "lamp"), ("erk", "erk"), ("random", "global_random")],
)
def test_scopes(config, dense, scope, function):
    trainer = Trainer(config(scope=scope), verbose=0)
    trainer._prepare()
    trainer._start()
    assert trainer.held.masks == getattr(masks, function)(load_detector(dense), 0.6, "conv")


def test_the_heads_stage_is_not_cached_under_masks(config, eager):
    chosen = config(training={**TRAINING, "stages": (Stage("head", 1, 1e-2),), "augment": None})
    Trainer(chosen, verbose=0).fit()
    assert Masks.load(chosen.out / MASKS).violations(load_detector(chosen.out)) == {}


@pytest.mark.parametrize(
    "pruning, told",
    [
        ({"sparsity": 30}, "sparsity 30"),
        ({"sparsity": 0}, "sparsity 0"),
        ({"layers": ("conv_x",)}, "conv_x"),
        ({"floor": 0.5}, "floor"),
        ({"floor": 0.1, "scope": "erk"}, "floor with scope erk"),
        ({"schedule": "cubic", "rewind": "x"}, "rewind with schedule cubic"),
        ({"previous": "missing.npz"}, "missing.npz"),
        ({"rewind": "missing.keras"}, "missing.keras"),
    ],
)
def test_what_does_not_fit_is_told_and_leaves_no_folder(config, fits, tmp_path, pruning, told):
    with pytest.raises(InputError) as error:
        Trainer(config(**pruning), verbose=0).fit()
    assert told in str(error.value) and not fits and not (tmp_path / "run").exists()


@pytest.mark.parametrize("schedule", ["one-shot", "cubic"])
def test_masks_of_another_network_or_of_more_are_refused_before_there_is_a_folder(
    config, dense, make_detector, fits, tmp_path, schedule
):
    paths = {name: tmp_path / f"{name}.npz" for name in ("other", "more")}
    masks.global_magnitude(make_detector(widths=(4,) * 7 + (6,)), 0.3, "conv").save(paths["other"])
    masks.global_magnitude(load_detector(dense), 0.8, "conv").save(paths["more"])
    for name, told in (("other", r"\(3, 3, 4, 6\) for conv_8/kernel"), ("more", "pruned already")):
        with pytest.raises(InputError, match=told):
            Trainer(config(schedule=schedule, previous=paths[name]), verbose=0).fit()
    assert not fits and not (tmp_path / "run").exists()


def test_only_epochs_from_since_on_are_best(tmp_path, dense):
    from run_tools.folder import RunFolder

    folder = RunFolder(tmp_path)
    callback = Checkpoint(folder, "val_ap50", 0, since=2)
    callback.set_model(load_detector(dense))
    for epoch, value in enumerate((0.9, 0.8, 0.1, 0.2)):
        callback.on_epoch_end(epoch, {"val_ap50": value})
        assert (tmp_path / "best.keras").exists() == (epoch >= 2)
    assert (folder.read_state()["best"], folder.read_state()["best_epoch"]) == (0.2, 3)
