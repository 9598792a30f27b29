"""Which trainings a pruning runs, from where, and what it refuses before the first."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from prune_tools import targets
from run_tools import config
from run_tools.errors import InputError
from run_tools.parsing import parse
from yolo_prune.cli import main
from yolo_prune.experiments.pages import command
from yolo_prune.models import load_detector
from yolo_prune.pruning import magnitude
from yolo_prune.pruning.held import SCOPES, make_masks
from yolo_prune.pruning.options import PruneConfig
from yolo_prune.pruning.plan import Subject
from yolo_prune.pruning.settings import Pruning
from yolo_prune.pruning.verb import METHODS
from yolo_prune.trainer import Trainer

ROOT = Path(__file__).resolve().parents[3]
# Kernels of 3·3·3·8 and seven of 3·3·8·8 weights.
TOTAL = 216 + 7 * 576


@pytest.fixture
def planned(small_h5, small_model, tmp_path):
    def make(**changes):
        options = PruneConfig(model=small_model, data=small_h5, out=tmp_path / "out", **changes)
        return magnitude.plan(options, Subject.of(options))

    return make


def names(runs, tmp_path):
    return [str(run.config.out.relative_to(tmp_path / "out")) for run in runs]


def test_levels_go_on_from_the_one_before(planned, small_model, tmp_path):
    runs = planned(sparsity=(0.3, 0.5, 0.7), seeds=(4, 5), seed_sparsity=(0.5, 0.7), epochs=2, learning_rate=0.1)
    dense = ["dense/level-1/seed-4", "dense/level-2/seed-4", "dense/level-3/seed-4"]
    pruned = [f"pruned/sparsity-{level}/seed-4" for level in (0.3, 0.5, 0.7)]
    others = [
        "dense/level-2/seed-5",
        "dense/level-3/seed-5",
        "pruned/sparsity-0.5/seed-5",
        "pruned/sparsity-0.7/seed-5",
    ]
    assert names(runs, tmp_path) == [*dense, *pruned, *others]
    found = dict(zip(names(runs, tmp_path), runs, strict=True))
    out = tmp_path / "out"

    def begins(name):
        chosen = found[name].config
        return chosen.weights, None if chosen.prune is None else chosen.prune.previous

    assert begins(dense[0]) == (small_model, None) and begins(dense[1]) == (out / dense[0], None)
    assert begins(pruned[0]) == (small_model, None)
    assert begins(pruned[2]) == (out / pruned[1], out / pruned[1] / "masks.npz")
    # The second seed does not run the first level: it goes on from the first seed's, then from its own.
    assert begins(others[2]) == (out / pruned[0], out / pruned[0] / "masks.npz")
    assert begins(others[3]) == (out / others[2], out / others[2] / "masks.npz")
    assert begins(others[1]) == (out / others[0], None)
    # Alike but for the masks: dense and pruned of one level and seed.
    for level in range(3):
        one, other = found[dense[level]].config, found[pruned[level]].config
        assert one.stages == other.stages and (one.stages[0].epochs, one.stages[0].learning_rate) == (2, 0.1)
        assert (one.seed, one.batch_size, one.ema, one.augment) == (
            other.seed,
            other.batch_size,
            other.ema,
            other.augment,
        )
    assert [found[name].weights for name in pruned] == [round(s * TOTAL) for s in (0.3, 0.5, 0.7)]
    assert [found[name].config.prune.sparsity for name in pruned] == [0.3, 0.5, 0.7]


@pytest.mark.parametrize("schedule", ["one-shot", "cubic"])
def test_other_schedules_begin_from_the_dense_model(planned, small_model, tmp_path, schedule):
    runs = planned(
        sparsity=(0.3, 0.7), schedule=schedule, seeds=(0, 1), seed_sparsity=(0.7,), control_sparsity=(0.7,),
        controls=("dense", "random", "layer"), scope="lamp", floor=0.1, recalibrate=3,
    )  # fmt: skip
    assert names(runs, tmp_path) == [
        *("dense/seed-0", "pruned/sparsity-0.3/seed-0", "pruned/sparsity-0.7/seed-0"),
        *("random/sparsity-0.7/seed-0", "layer/sparsity-0.7/seed-0", "dense/seed-1", "pruned/sparsity-0.7/seed-1"),
    ]
    assert all(run.config.weights == small_model for run in runs)
    prunings = {run.kind: run.config.prune for run in runs}
    assert prunings["dense"] is None
    kind = "cubic" if schedule == "cubic" else "one-shot"
    assert {each.schedule for each in prunings.values() if each} == {kind}
    assert [prunings[name].scope for name in ("pruned", "random", "layer")] == ["lamp", "random", "layer"]
    # A floor is for the scope that it was given for; statistics are recalibrated for all.
    assert [prunings[name].floor for name in ("pruned", "random", "layer")] == [0.1, 0, 0]
    assert all(each.previous is None and each.recalibrate == 3 for each in prunings.values() if each)


def test_stages_of_train_are_those_of_every_training_dense_ones_too(planned):
    stages = [{"train": "top:7", "epochs": 3, "learning_rate": 1e-4}]
    runs = planned(sparsity=(0.5,), controls=("dense", "random"), layers=("conv_[3-8]",), train={"stages": stages})
    told = {run.kind: [(s.train, s.epochs, s.learning_rate) for s in run.config.stages] for run in runs}
    assert told == dict.fromkeys(("dense", "pruned", "random"), [("top:7", 3, 1e-4)])
    # A fraction of the six kernels that are named.
    assert [run.weights for run in runs] == [0, 3 * 576, 3 * 576]


def test_iterative_controls_run_the_levels_below(planned, tmp_path):
    runs = planned(sparsity=(0.3, 0.5, 0.7), controls=("random",), control_sparsity=(0.5,))
    random = [run for run in runs if run.kind == "random"]
    assert names(random, tmp_path) == ["random/sparsity-0.3/seed-0", "random/sparsity-0.5/seed-0"]
    assert random[1].config.prune.previous == random[0].config.out / "masks.npz"


def test_amounts_of_what_remains(planned, tmp_path):
    runs = planned(sparsity=(0.2, 0.2, 0.2), amount="of_remaining", controls=())
    first = round(0.2 * TOTAL)
    second = first + round(0.2 * (TOTAL - first))
    third = second + round(0.2 * (TOTAL - second))
    assert [run.weights for run in runs] == [first, second, third]
    assert names(runs, tmp_path) == [f"pruned/level-{level}/seed-0" for level in (1, 2, 3)]
    assert [run.sparsity for run in runs] == pytest.approx([0.2, 0.36, 0.488], abs=1e-3)


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("amount", ["of_total", "of_remaining"])
def test_as_many_weights_are_expected_as_the_masks_prune(planned, small_model, scope, amount):
    model, previous = load_detector(small_model), None
    runs = planned(sparsity=(0.3, 0.37, 0.7), scope=scope, amount=amount, controls=())
    for run in runs:
        previous = make_masks(model, run.config.prune.sparsity, pruning=run.config.prune, previous=previous)
        assert run.weights == previous.pruned and run.sparsity == previous.sparsity()
    if amount == "of_total":
        # Of each kernel alone: round(.3 · 216) = 65 and round(.3 · 576) = 173; of all: round(.3 · 4248) = 1274.
        assert runs[0].weights == (65 + 7 * 173 if "layer" in scope else 1274)


def test_the_report_says_of_what_a_sparsity_is_a_fraction(small_h5, small_model, tmp_path):
    def told(layers):
        options = PruneConfig(model=small_model, data=small_h5, out=tmp_path, layers=layers)
        return magnitude.prunable(options, Subject.of(options))

    weights = load_detector(small_model).count_params()
    names = ", ".join(f"conv_{number}" for number in range(1, 9))  # all but the head
    assert told(None).startswith(f"Sparsity is that of {names} together, {TOTAL:,} of {weights:,} weights;")
    assert f" conv_1, conv_3, conv_4 together, {216 + 2 * 576:,} of" in told(("conv_[34]", "conv_1"))


def test_a_layerwise_control_expects_its_own_count(planned):
    runs = planned(sparsity=(0.3,), schedule="one-shot", controls=("layer", "random"))
    assert {run.kind: run.weights for run in runs} == {"pruned": 1274, "layer": 65 + 7 * 173, "random": 1274}


def test_the_network_of_a_run_is_the_models(planned, small_model):
    model = load_detector(small_model)
    for run in planned(sparsity=(0.5,), train={"monitor_every": 7}):
        trainer = Trainer(run.config)
        assert run.config.monitor_every == 7 and trainer.classes.names == model.class_names
        trainer._prepare()
        trainer._start()
        assert trainer.model.anchors == model.anchors and trainer.image_size == model.image_size
        for mine, theirs in zip(trainer.model.weights, model.weights, strict=True):
            mine, theirs = keras.ops.convert_to_numpy(mine), keras.ops.convert_to_numpy(theirs)
            assert np.array_equal(mine, theirs) or (
                run.kind == "pruned" and np.array_equal(mine[mine != 0], theirs[mine != 0])
            )


def test_two_percent_keeps_the_answers_and_wrong_masks_do_not(make_detector, small_h5):
    """The failure this project began with: signed cutoffs and inverted masks, which emptied the network."""
    from data_tools.store import open_store

    model = make_detector(widths=(16,) * 8)
    images = np.stack([image[:64, :128] for image in open_store(small_h5)["train"].images(slice(0, 8))])
    before, start = model.logits(images).ravel(), model.get_weights()

    def correlation(arrays):
        from prune_tools.masks import Masks

        found = Masks(arrays)
        found.hold(model)
        after = model.logits(images).ravel()
        found.release(model)
        model.set_weights(start)
        return np.corrcoef(before, after)[0, 1]

    right = make_masks(model, 0.02, pruning=Pruning(0.02))
    kernels = {kernel.name: kernel.numpy() for kernel in targets.kernels(model, "conv")}
    assert right.pruned == round(0.02 * sum(array.size for array in kernels.values()))
    cutoff = np.quantile(np.abs(np.concatenate([array.ravel() for array in kernels.values()])), 0.02)
    signed = {name: array >= cutoff for name, array in kernels.items()}
    inverted = {name: ~mask for name, mask in right.items()}
    assert 0.4 < 1 - np.mean([mask.mean() for mask in signed.values()]) < 0.6  # half of it, not 2 %
    assert correlation(right) > 0.99
    assert correlation(signed) < 0.9 and correlation(inverted) < 0.9


@pytest.mark.parametrize(
    "words, told",
    [
        ("--sparsity .5 .3", "levels that rise"),
        ("--sparsity .5 .5", "levels that rise"),
        ("--sparsity 30 50", "fractions above 0 and below 1"),
        ("--sparsity 0 .5", "fractions above 0 and below 1"),
        ("--sparsity 1", "fractions above 0 and below 1"),
        ("--sparsity .5 --seeds 1 1", "seeds (1, 1)"),
        ("--sparsity .5 --splits []", "no splits"),
        ("--sparsity .5 --seed-sparsity .7", "--seed-sparsity 0.7"),
        ("--sparsity .5 --control-sparsity .7", "--control-sparsity 0.7"),
        ("--sparsity .5 --controls radom", "did you mean"),
        ("--sparsity .5 --scope layer --controls layer", "control layer"),
        ("--sparsity .2 --schedule one-shot --amount of_remaining", "of_remaining"),
        ("--sparsity .5 --schedule cubic --rewind MODEL", "rewind with schedule cubic"),
        ("--sparsity .5 --rewind missing.keras", "missing.keras"),
        ("--sparsity .5 --layers conv_77", "conv_77"),
        ("--sparsity .9 --floor .2", "with a floor of 0.2"),
        ("--sparsity .5 --classes plane", "class 'plane'"),
        ("--sparsity .5 --splits val tests", "split 'tests'"),
        ("--sparsity .5 --input 100x64", "image size 100x64"),
        ("--sparsity .5 --method distinctivness", "magnitude"),
        ("--sparsity .5 --runtimes tflite", "tflite"),
        ("--sparsity .5 --merges-at .5", "merges_at with method magnitude"),
        ("--sparsity .5 --keep .5", "keep with method magnitude"),
        ("--sparsity .5 --floor .1 --method distinctiveness", "floor with method distinctiveness"),
        ("--sparsity .5 .9999", "leave nothing of any kernel"),
        ("--sparsity .0001 .5", "which prunes nothing; expected 1 to 4,247 of 4,248 weights"),
        ("--sparsity .5 --model missing", "missing: no such file"),
        ("--sparsity .5 --model FARM", "a detector of cat, dog"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(small_h5, small_model, make_detector, tmp_path, capsys, words, told):
    if "FARM" in words:
        make_detector(class_names=("cat", "dog", "cow", "pig", "hen")).save(tmp_path / "farm.keras")
    places = {"MODEL": str(small_model), "FARM": str(tmp_path / "farm.keras")}
    given = [places.get(word, word) for word in words.split()]
    model = [] if "--model" in given else ["--model", str(small_model)]
    assert main(["prune", *model, "--data", str(small_h5), "--out", str(tmp_path / "out"), *given]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


# Levels, more seeds of some, a dense one a seed, controls.
SHIPPED = {
    "kitti_6m_magnitude": 8 + 2 * 2 + 3 + 2 * 2,
    "kitti_6m_sparsest": 3 + 1,
    "kitti_6m_fewest": 2,
    "kitti_tiny_magnitude": 8 + 1,
    "kitti_tiny_distinctiveness": 5 + 2 + 3 + 2 * 5,
    "kitti_tiny_combined": 5 + 1,
    "kitti_tiny_pruned": 1 + 1,
}


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "prune").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_make_trainings(small_h5, make_detector, tmp_path, path):
    assert f"# yolo-prune prune --config configs/prune/{path.name} " in path.read_text()
    make_detector(widths=(64,) * 8).save(tmp_path / "wide.keras")
    options = config.load(PruneConfig, path, model=tmp_path / "wide.keras", data=small_h5, out=tmp_path, input="128x64")
    # What the report says of how it was made gives the same options.
    assert parse(PruneConfig, "yolo-prune prune", command("prune", options)[2:]) == (options, None)
    if options.teacher is not None:
        options = dataclasses.replace(options, teacher=options.model)
    runs = METHODS[options.method].plan(options, Subject.of(options))
    for run in runs:
        Trainer(run.config)
    assert len(runs) == SHIPPED[path.stem] and len({run.config.out for run in runs}) == len(runs)


@pytest.mark.parametrize(
    "train, told",
    [({"seed": 3}, "seed in train"), ({"epochz": 3}, "unknown key in train"), ({"weight-decay": 1}, "weight_decay in")],
)
def test_options_of_train_are_those_that_prune_has_not(planned, train, told):
    with pytest.raises(InputError, match=told):
        planned(sparsity=(0.5,), train=train)
