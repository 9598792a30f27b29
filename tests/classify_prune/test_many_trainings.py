"""What makes many short trainings quick computes what a plain loop over `train_on_batch` at full width does."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
from pathlib import Path

import keras
import numpy as np
import pytest

from classify_prune import inputs, lenet5, mlp
from classify_prune.draws import Draws, Served
from classify_prune.monitor import Reseed
from classify_prune.pruning import narrow
from classify_prune.pruning.learner import Learner
from classify_prune.pruning.retraining import Held, Retrainer
from classify_prune.recipe import TrainConfig
from classify_prune.trainer import Trainer, optimizer_of
from data_tools.label_augment import LabelAugment
from data_tools.store import open_store
from prune_tools import holding


def plain(model, batches, val, config, step):
    """Retraining written out: every step a call, all units there, the loss by Keras."""
    reseed = Reseed(config.seed)
    reseed.set_model(model)
    model.compile(optimizer_of(config, 1), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    best, best_epoch, kept = math.inf, 0, model.get_weights()
    for epoch in range(1, config.epochs + 1):
        batches.epoch = step * config.epochs + epoch
        reseed.on_epoch_begin(batches.epoch)
        losses = [float(model.train_on_batch(*batches[index])) for index in range(len(batches))]
        said = model(val.inputs, training=False)
        lost = float(np.mean(keras.losses.sparse_categorical_crossentropy(val.labels, said, from_logits=True)))
        if lost < best:
            best, best_epoch, kept = lost, epoch, model.get_weights()
        elif epoch - best_epoch >= config.patience:
            break
    model.set_weights(kept)
    return {"epochs": epoch, "best_epoch": best_epoch, "train_loss": np.mean(losses)}


@pytest.fixture
def vectors(features_h5, tmp_path):
    store = open_store(features_h5, "classification")
    val = Held.of(inputs.feed(store, "val", (6,), 16, "type", shuffle=False))
    config = TrainConfig(data=features_h5, out=tmp_path, epochs=8, patience=3, learning_rate=0.02, batch_size=20)
    return inputs.feed(store, "train", (6,), 20, "type"), val, config


def dense(train, val, units=40, dead=(4, 9, 33), silent=(0, 7, 21, 22, 39), dropout=0.4):
    """A network with units held dead and units that fire for no training input but for one to judge."""
    keras.utils.set_random_seed(5)
    seen = train.split.features(slice(None))
    model = mlp(6, 4, (units,), dropout=dropout, mean=seen.mean(axis=0), deviation=seen.std(axis=0) + 0.1)
    hidden, head = model.get_layer("dense_1"), model.get_layer("logits")
    reader = keras.Model(model.input, hidden.input)
    seen, judged = (np.asarray(reader(each)) for each in (seen, val.inputs))
    # A direction in which one of the judged lies further out than everything learnt from.
    outlier = max(judged, key=lambda one: float(one @ one - (seen @ one).max()))
    highest, beyond = float((seen @ outlier).max()), float(outlier @ outlier)
    assert beyond > highest
    kernel, bias = hidden.kernel.numpy(), hidden.bias.numpy()
    for unit in silent:
        kernel[:, unit], bias[unit] = outlier, -(0.5 * highest + 0.5 * beyond)
    hidden.kernel.assign(kernel)
    hidden.bias.assign(bias)
    lives = np.ones(head.kernel.shape, bool)
    lives[list(dead)] = False
    holding.hold(model, [(head.kernel, lives)])
    return model


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_what_cannot_change_need_not_be_there(vectors, optimizer):
    train, val, config = vectors
    config = dataclasses.replace(config, optimizer=optimizer)
    slow, quick = dense(train, val), dense(train, val)
    before = [array.copy() for array in quick.get_weights()]
    told = plain(slow, train, val, config, 3)
    retrainer = Retrainer(train, val, config)
    again = retrainer(quick, 3)
    # 32 units do for those that live, the paths of the eight others are unused.
    assert [width for _, width in retrainer._narrow._learners] == [32]
    assert (again["epochs"], again["best_epoch"]) == (told["epochs"], told["best_epoch"])
    assert again["train_loss"] == pytest.approx(told["train_loss"], abs=1e-5)
    for one, other in zip(slow.get_weights(), quick.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)
    still = [0, 4, 7, 9, 21, 22, 33, 39]
    for model in (slow, quick):
        for name, axis in (("dense_1", 1), ("logits", 0)):
            place = [v.path for v in model.weights].index(model.get_layer(name).kernel.path)
            for moved, one in ((False, still), (True, [1])):
                first, last = (np.take(array[place], one, axis) for array in (before, model.get_weights()))
                assert np.array_equal(first, last) is not moved
    assert val.measure(slow) == pytest.approx(val.measure(quick), abs=1e-5)


def test_silent_units_speak_of_inputs_not_learnt_from(vectors):
    train, val, config = vectors
    model = dense(train, val, dead=())
    whole = np.asarray(model(val.inputs, training=False))
    living = narrow.Narrow(config, train.split.features(slice(None)), val.inputs).of(model)
    np.testing.assert_allclose(living.logits(), whole, atol=1e-5)
    assert np.abs(living.offset).max() > 0.01 and len(living.units) < 40
    # What nothing was done to goes back as it came.
    before = model.get_weights()
    living.into(model)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_networks_of_one_width_do_not_share_what_they_learn_with(vectors):
    train, val, config = vectors
    one, two, other = dense(train, val), dense(train, val), dense(train, val, dropout=0.0)
    Retrainer(train, val, config)(one, step=2)
    retrainer = Retrainer(train, val, config)
    retrainer(other, step=2)
    retrainer(two, step=2)
    for alone, after in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(after, alone)


def test_other_constraints_want_all_units(vectors):
    train, val, config = vectors
    model = dense(train, val)
    assert narrow.fits(model, config)
    model.get_layer("dense_1").kernel.constraint = keras.constraints.MaxNorm(1.0)
    assert not narrow.fits(model, config)


@pytest.mark.parametrize("told", [{"weight_decay": 0.1}, {"clip_norm": 1.0}])
def test_decay_and_clipping_want_all_units(vectors, told):
    train, val, config = vectors
    config = dataclasses.replace(config, epochs=2, **told)
    slow, quick = dense(train, val), dense(train, val)
    assert not narrow.fits(quick, config) and narrow.fits(quick, vectors[2])
    assert not narrow.fits(mlp(6, 4, (5, 5)), vectors[2])
    for name in ("dense_1", "logits"):  # single weights held
        partly = mlp(6, 4, (5,))
        kernel = partly.get_layer(name).kernel
        holding.hold(partly, [(kernel, np.arange(np.prod(kernel.shape)).reshape(kernel.shape) != 1)])
        assert not narrow.fits(partly, vectors[2])
    plain(slow, train, val, config, 1)
    Retrainer(train, val, config)(quick, 1)
    for one, other in zip(slow.get_weights(), quick.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def pictures(images_h5, seed=0, augment=True, **options):
    store = open_store(images_h5, "classification")
    chosen = LabelAugment() if augment else None
    return inputs.feed(store, "train", (32, 32, 1), 10, "type", augment=chosen, seed=seed, **options)


def test_an_epoch_in_one_call(images_h5, tmp_path):
    config = TrainConfig(data=images_h5, out=tmp_path, optimizer="sgd", learning_rate=0.05)
    drawn, found = Draws(pictures(images_h5)).epoch(2), []
    for way in ("epoch", "steps"):
        keras.utils.set_random_seed(3)
        learner = Learner(lenet5(3, widths=(2, 3, 4, 8)), config)
        learner.clear()
        run = (lambda learner: learner.epoch(2, drawn)) if way == "epoch" else (lambda one: one.step_by_step(drawn))
        losses = [run(learner) for _ in range(2)]
        assert losses[1] != losses[0] and int(learner.model.optimizer.iterations) == 2 * len(drawn.order)
        found.append((losses, learner.model.get_weights(), learner.logits(drawn.inputs)))
    (one, weights, said), (other, others, told) = found
    assert one == pytest.approx(other, abs=1e-6)
    for first, second in zip([*weights, said], [*others, told], strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("augment", [True, False])
def test_epochs_are_those_of_the_feed(images_h5, tmp_path, augment):
    batches, other = pictures(images_h5, augment=augment), pictures(images_h5, augment=augment)
    for again in (False, True):
        draws = Draws(batches, tmp_path / "draws")
        for number in (4, 1):
            other.epoch = number
            drawn = draws.epoch(number)
            assert len(drawn.order) == len(other)
            for index, rows in enumerate(drawn.order):
                images, labels = other[index]
                np.testing.assert_array_equal(drawn.inputs[rows], images)
                np.testing.assert_array_equal(drawn.labels[rows], labels)
        kept = sorted(path.name for path in tmp_path.glob("draws/*/*"))
        assert kept == (["1.npy", "4.npy"] if augment else []), again
    Draws(pictures(images_h5, seed=1), tmp_path / "draws").epoch(1)
    assert len(list(tmp_path.glob("draws/*"))) == 1 + augment
    draws.forget()
    assert (tmp_path / "draws").exists() is not augment


def test_epochs_are_kept_while_there_is_room(images_h5, tmp_path):
    batches = pictures(images_h5)
    size = len(batches) * 10 * 32 * 32 + 128  # bytes of images and of the file's head
    draws = Draws(batches, tmp_path, room=2 * size)
    drawn = [draws.epoch(number).inputs for number in (1, 2, 3)]
    assert len(list(tmp_path.glob("*/*.npy"))) == 2
    for number, images in enumerate(drawn, start=1):
        np.testing.assert_array_equal(draws.epoch(number).inputs, images)


def test_what_cannot_be_read_is_drawn_again(images_h5, tmp_path):
    first = Draws(pictures(images_h5), tmp_path).epoch(1)
    (kept,) = tmp_path.glob("*/1.npy")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:500])
    np.testing.assert_array_equal(Draws(pictures(images_h5), tmp_path).epoch(1).inputs, first.inputs)
    assert kept.read_bytes() == whole
    (tmp_path / "full").touch()
    Draws(pictures(images_h5), tmp_path / "full").epoch(1)  # where nothing can be kept


def test_feeds_in_another_order_keep_other_images(images_h5, tmp_path):
    Draws(pictures(images_h5, limit=20), tmp_path).epoch(1)
    still = pictures(images_h5, limit=20, shuffle=False)
    drawn = Draws(still, tmp_path).epoch(1)
    still.epoch = 1
    np.testing.assert_array_equal(drawn.inputs[drawn.order[0]], still[0][0])


def test_a_training_of_kept_images_is_the_same(images_h5, tmp_path):
    common = {"data": images_h5, "network": "lenet5", "widths": (2, 3, 4, 8), "epochs": 2, "batch_size": 10}
    weights = []
    for name, kept in (("plain", None), ("first", tmp_path / "draws"), ("second", tmp_path / "draws")):
        config = TrainConfig(out=tmp_path / name, augment=LabelAugment(), **common)
        trainer = Trainer(config, verbose=0, kept=kept)
        trainer.fit()
        weights.append(trainer.model.get_weights())
    assert len(list(tmp_path.glob("draws/*/*.npy"))) == 2
    for other in weights[1:]:
        for one, array in zip(weights[0], other, strict=True):
            np.testing.assert_array_equal(one, array)


def test_served_as_fed(images_h5, tmp_path):
    batches = pictures(images_h5)
    served = Served(Draws(batches, tmp_path))
    assert len(served) == len(batches)
    for number in (0, 1):
        assert batches.epoch == number
        np.testing.assert_array_equal(served[1][0], batches[1][0])
        served.on_epoch_end()


def test_the_benchmark_prints_every_way(tmp_path, capsys):
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "retraining.py"
    spec = importlib.util.spec_from_file_location("script_retraining", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.main(["--vectors", "40", "--living", "20", "--rounds", "1", "--json", str(tmp_path / "r.json")])
    found = json.loads((tmp_path / "r.json").read_text())["found"]
    assert [len(ways) for ways in found.values()] == [3, 2]
    printed = capsys.readouterr().out
    for ways in found.values():
        for way, told in ways.items():
            assert way in printed and told["times"] == pytest.approx(ways[script.STEPS]["seconds"] / told["seconds"])
    with pytest.raises(SystemExit) as caught:
        script.main(["--living", "501"])
    assert caught.value.code == 2
