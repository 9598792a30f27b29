"""Training on small files: what is learnt, logged, kept, and gone on with."""

import hashlib
import re
import shutil

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from classify_prune import inputs
from classify_prune.loading import load_classifier
from classify_prune.recipe import TrainConfig
from classify_prune.trainer import Trainer
from data_tools.label_augment import LabelAugment
from data_tools.label_pipeline import LabelBatches
from data_tools.store import open_store
from prune_tools.mask_set import Masks
from prune_tools.masks import global_magnitude
from run_tools.errors import InputError, TrainingDiverged
from run_tools.folder import RunFolder


def features(path, out, **changes):
    options = {"widths": (8,), "epochs": 4, "batch_size": 16, "learning_rate": 0.02, "standardise": "standard"}
    return TrainConfig(**{"data": path, "out": out, **options, **changes})


def weights(path):
    return load_classifier(path).get_weights()


def test_an_mlp_learns_and_everything_is_kept(features_h5, tmp_path):
    config = features(features_h5, tmp_path / "run", epochs=12)
    result = Trainer(config, verbose=0).fit()
    assert result["epochs"] == 12 and result["images"] == 48 and result["parameters"] == 6 * 8 + 8 + 8 * 4 + 4
    folder = RunFolder(config.out)
    rows = folder.metrics()
    assert [row["epoch"] for row in rows] == list(range(12)) and rows[-1]["val_accuracy"] > 0.9
    assert {"loss", "accuracy", "val_loss", "val_ece", "val_balanced_accuracy", "val_accuracy_north"} <= set(rows[0])
    best = min(range(12), key=lambda epoch: rows[epoch]["val_loss"])
    assert (result["best_epoch"], result["best"]) == (best, rows[best]["val_loss"])
    # What is logged is what the saved model gives.
    model = load_classifier(config.out)
    assert model.class_names == ("north", "east", "south", "west") and model.widths == (8,)
    store = open_store(features_h5)
    logits, labels = inputs.logits(model, inputs.feed(store, "val", model.inputs_shape, 5, "type"))
    np.testing.assert_array_equal(labels, store["val"].labels)
    loss = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    assert float(np.mean(loss)) == pytest.approx(result["best"], rel=1e-4)
    # The vectors are standardised inside the network.
    mean, deviation = model.standard
    train = store["train"].features(slice(None))
    np.testing.assert_allclose(mean, train.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(deviation, train.std(axis=0), rtol=1e-4)
    board = EventAccumulator(str(folder.path("tensorboard"))).Reload()
    assert metadata.SESSION_END_INFO_TAG in board.Tags()["tensors"] and "best/loss" in board.Tags()["tensors"]
    drawn = EventAccumulator(str(folder.path("tensorboard/pictures"))).Reload()
    assert [image.step for image in drawn.Images("confusion")] == [0, 5, 10]
    assert "calibration" in drawn.Tags()["images"]


@pytest.mark.parametrize(
    "changes",
    [
        {"dropout": 0.5, "schedule": "cosine", "weight_decay": 0.01},
        {"network": "lenet5", "widths": (2, 3, 4, 5), "augment": LabelAugment(), "optimizer": "sgd"},
        {"network": "resnet18", "widths": (2, 3, 3, 4), "input": "32x24", "standardise": "imagenet", "train": "head"},
    ],
)
def test_a_run_that_was_cut_off_ends_with_the_same_weights(request, tmp_path, train_leaving, changes):
    data = request.getfixturevalue("images_h5" if "network" in changes else "features_h5")
    whole, cut = (features(data, tmp_path / name, **changes) for name in ("whole", "cut"))
    train_leaving(Trainer(whole, verbose=0), cut.out, 2)
    assert RunFolder(cut.out).read_state()["epoch"] == 2
    Trainer(cut, verbose=0).fit()
    for name in ("last.keras", "best.keras"):
        for one, other in zip(weights(whole.out / name), weights(cut.out / name), strict=True):
            np.testing.assert_array_equal(one, other)
    logged = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in RunFolder(c.out).metrics()] for c in (whole, cut)
    ]
    assert logged[0] == logged[1]


def test_only_the_head_learns_where_that_is_asked_for(images_h5, tmp_path):
    options = {"network": "lenet5", "widths": (2, 3, 4, 5), "epochs": 1}
    Trainer(features(images_h5, tmp_path / "a", **options), verbose=0).fit()
    config = features(images_h5, tmp_path / "b", **options, weights=tmp_path / "a", train="head", seed=1)
    Trainer(config, verbose=0).fit()
    before, after = weights(tmp_path / "a/best.keras"), weights(tmp_path / "b/last.keras")
    same = [np.array_equal(one, other) for one, other in zip(before, after, strict=True)]
    assert same == [True] * 8 + [False] * 2


def test_patience_ends_a_run_and_a_finished_one_is_not_trained_again(features_h5, tmp_path, monkeypatch):
    # At this rate nothing changes, so the first epoch stays the best: it stops after two more.
    config = features(features_h5, tmp_path / "run", learning_rate=1e-12, patience=2, epochs=50, dropout=0.0)
    result = Trainer(config, verbose=0).fit()
    assert result["epochs"] <= 5 and result["best_epoch"] == result["epochs"] - 3
    monkeypatch.setattr(keras.Model, "fit", None)
    assert Trainer(config, verbose=0).fit() == result


def test_tasks_choose_images_and_classes(features_h5, tmp_path):
    config = features(features_h5, tmp_path / "run", task="vehicle", classes=3, epochs=1, limit=10, batch_size=4)
    trainer = Trainer(config, verbose=0)
    assert trainer.fit()["images"] == 10
    assert trainer.model.class_names == ("0001", "0002", "0003")


def test_what_does_not_fit_leaves_no_folder(features_h5, images_h5, tmp_path):
    wrong = [
        (features_h5, {"network": "lenet5"}, "network lenet5 for .*, which holds features; .*; choose mlp"),
        (images_h5, {"network": "mlp"}, "network mlp for .*, which holds images"),
        (features_h5, {"input": "32x32"}, "--input for"),
        (features_h5, {"augment": LabelAugment()}, "--augment for"),
        (features_h5, {"standardise": "imagenet"}, "standardise imagenet"),
        (images_h5, {"network": "resnet18", "standardise": "minmax", "widths": None}, "standardise minmax"),
        (features_h5, {"widths": (0,)}, "widths"),
        (images_h5, {"task": "vehicle"}, "task 'vehicle' for .* without vehicle_id"),
        (features_h5, {"weights": tmp_path / "none"}, "no such file"),
        (tmp_path / "none.h5", {}, "nothing there"),
        (features_h5, {"masks": tmp_path / "masks.npz"}, "unknown kernel 'other'"),
    ]
    Masks({"other": np.ones((6, 8), bool)}).save(tmp_path / "masks.npz")
    for data, changes, told in wrong:
        with pytest.raises(InputError, match=told):
            Trainer(features(data, tmp_path / "run", **changes), verbose=0).fit()
        assert not (tmp_path / "run").exists()


def test_other_data_is_not_gone_on_with(features_h5, tmp_path, train_cut_off):
    config = features(features_h5, tmp_path / "run")
    train_cut_off(config, 1)
    folder = RunFolder(config.out)
    folder.write_state({**folder.read_state(), "data": "another"})
    with pytest.raises(InputError, match="other contents than when"):
        Trainer(config, verbose=0).fit()


@pytest.mark.parametrize("option", ["weights", "masks"])
def test_files_that_changed_are_refused(features_h5, tmp_path, train_cut_off, option):
    first = features(features_h5, tmp_path / "first", epochs=1)
    Trainer(first, verbose=0).fit()
    given = tmp_path / "first/best.keras" if option == "weights" else tmp_path / "masks.npz"
    model = load_classifier(first.out)
    if option == "masks":
        global_magnitude(model, 0.5).save(given)
    config = features(features_h5, tmp_path / "run", epochs=2, **{option: first.out if option == "weights" else given})
    train_cut_off(config, 1)
    folder, kept = RunFolder(config.out), given.read_bytes()
    state = folder.read_state()
    assert state["files"] == {option: hashlib.sha256(kept).hexdigest()}
    folder.log({"epoch": 1})
    if option == "masks":
        global_magnitude(model, 0.25).save(given)
    else:
        model.layers[-1].bias.assign(model.layers[-1].bias + 1.0)
        model.save(given)
    with pytest.raises(InputError, match=f"{option} .* with other contents than when .*run was started"):
        Trainer(config, verbose=0).fit()
    assert folder.read_state() == state and len(folder.metrics()) == 2  # nothing was dropped from the log
    given.write_bytes(kept)
    assert Trainer(config, verbose=0).fit()["epochs"] == 2
    assert folder.read_state()["files"] == state["files"] and folder.read_state()["finished"]


def test_weights_that_are_gone_cannot_be_compared(features_h5, tmp_path, train_cut_off):
    Trainer(features(features_h5, tmp_path / "first", epochs=1), verbose=0).fit()
    config = features(features_h5, tmp_path / "run", epochs=2, weights=tmp_path / "first")
    train_cut_off(config, 1)
    shutil.rmtree(tmp_path / "first")
    assert Trainer(config, verbose=0).fit()["epochs"] == 2
    assert list(RunFolder(config.out).read_state()["files"]) == ["weights"]


def test_it_goes_back_to_its_last_checkpoint_once(features_h5, tmp_path, monkeypatch, capsys):
    whole, cut, never = (features(features_h5, tmp_path / name, dropout=0.5) for name in ("whole", "cut", "never"))
    Trainer(whole, verbose=0).fit()
    folder, given = RunFolder(cut.out), LabelBatches.__getitem__

    def poisoned(wanted):
        def get(self, index):
            inputs, labels = given(self, index)
            # Not NaN itself, of which a ReLU may make 0.
            return (np.full_like(inputs, 3e38) if wanted(self, index) else inputs), labels

        return get

    # In the third epoch, unless it has gone back: what happened once need not happen again.
    def wanted(feed, index):
        return feed.split.name == "train" and feed.epoch == 2 and index == 1 and "diverged" not in folder.read_state()

    monkeypatch.setattr(LabelBatches, "__getitem__", poisoned(wanted))
    Trainer(cut, verbose=0).fit()
    (gone,) = re.findall(r"note: (.*); back to the checkpoint after epoch 2", capsys.readouterr().out)
    assert (
        re.match(r"loss = (nan|inf) in epoch 2, batch 1 \(images 0", gone)
        and {"2": gone} == folder.read_state()["diverged"]
    )
    for name in ("last.keras", "best.keras"):
        for one, other in zip(weights(whole.out / name), weights(cut.out / name), strict=True):
            np.testing.assert_array_equal(one, other)
    assert [row["epoch"] for row in folder.metrics()] == [0, 1, 2, 3]
    # Time and again: the second time is the end, also for the same command once more; a first epoch has nothing behind.
    monkeypatch.setattr(
        LabelBatches, "__getitem__", poisoned(lambda feed, index: feed.split.name == "train" and feed.epoch == 1)
    )
    folder = RunFolder(never.out)
    for _ in range(2):
        with pytest.raises(TrainingDiverged, match="epoch 1, batch 0 .*with another --out, lower the learning rate"):
            Trainer(never, verbose=0).fit()
        assert folder.read_state()["epoch"] == 1 and "diverged" in folder.read_state()
    monkeypatch.setattr(LabelBatches, "__getitem__", poisoned(lambda feed, index: feed.split.name == "train"))
    with pytest.raises(TrainingDiverged, match="epoch 0"):
        Trainer(features(features_h5, tmp_path / "first"), verbose=0).fit()
    assert RunFolder(tmp_path / "first").read_state() is None
