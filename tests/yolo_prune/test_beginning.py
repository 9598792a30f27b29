"""What a training begins with: its anchors, and the weights that it takes over."""

import keras
import numpy as np
import pytest

from data_tools.store import open_store
from run_tools.errors import InputError
from yolo_prune.recipe import Stage
from yolo_prune.trainer import Trainer


def test_balanced_anchors_weigh_the_heads_classes(small, small_h5, tmp_path, fits, monkeypatch):
    seen = []

    def kmeans(sizes, k, seed, weights):
        seen.append(weights)
        return np.asarray(sizes)[:k]

    monkeypatch.setattr("data_tools.anchors.kmeans", kmeans)
    for balance in (False, True):
        Trainer(small(small_h5, tmp_path / str(balance), anchor_balance=balance), verbose=0).fit()
    view = open_store(small_h5)["train"]
    types = view.all_classes[view.all_classes >= 0]
    # Merged classes: Car (0) and Van (1) weigh together; Pedestrian is 3, Cyclist 5.
    groups = [(types == 0) | (types == 1), types == 3, types == 5]
    expected = sum(group / np.sqrt(group.sum()) for group in groups)
    assert seen[0] is None and (expected > 0).all()
    np.testing.assert_allclose(seen[1], expected)


def test_a_head_that_does_not_say_its_anchors_needs_them_named(small, small_h5, tmp_path, fits, make_detector):
    source = make_detector(anchors="0.8,0.6;0.3,0.8", widths=(4,) * 8)
    names = {"conv": "conv2d", "norm": "batch_normalization"}
    arrays = {}
    for layer in source.layers:
        for variable in layer.weights:
            kind, number = layer.name.split("_")
            arrays[f"{names[kind]}_{number}/{variable.name}"] = keras.ops.convert_to_numpy(variable)
    np.savez(tmp_path / "w.npz", **arrays)
    options = {"weights": tmp_path / "w.npz", "stages": (Stage("all", 1),)}
    with pytest.raises(InputError, match="does not say its anchors.*--new-head"):
        Trainer(small(small_h5, tmp_path / "found", **options), verbose=0).fit()
    trainer = Trainer(small(small_h5, tmp_path / "named", anchors="0.8,0.6;0.3,0.8", **options), verbose=0)
    trainer.fit()
    np.testing.assert_array_equal(trainer.model.layers[-1].get_weights()[0], source.layers[-1].get_weights()[0])
    with pytest.raises(InputError, match="anchors of .*w.npz, which says none"):
        Trainer(small(small_h5, tmp_path / "asked", anchors="weights", **options), verbose=0).fit()
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    other = options | {"weights": tmp_path / "other.keras"}
    with pytest.raises(InputError, match="anchors of .*other.keras, which says none"):
        Trainer(small(small_h5, tmp_path / "asked", anchors="weights", **other), verbose=0).fit()
    Trainer(small(small_h5, tmp_path / "fresh", new_head=True, **options), verbose=0).fit()


def test_anchors_of_the_weights(small, small_h5, tmp_path, fits, make_detector):
    source = make_detector(anchors="0.8,0.6;0.3,0.8", widths=(4,) * 8)
    source.save(tmp_path / "source.keras")
    options = {"anchors": "weights", "stages": (Stage("all", 1),)}
    trainer = Trainer(small(small_h5, tmp_path / "run", weights=tmp_path / "source.keras", **options), verbose=0)
    trainer.fit()
    assert trainer.model.anchors == source.anchors == ((0.8, 0.6), (0.3, 0.8))
    np.testing.assert_array_equal(trainer.model.layers[-1].get_weights()[0], source.layers[-1].get_weights()[0])


@pytest.mark.parametrize("train, told", [("top:3", "conv_1, conv_2, conv_3, conv_4, conv_5, conv_6"), ("all", None)])
def test_layers_that_stay_random_are_told(small, small_h5, tmp_path, fits, capsys, train, told):
    Trainer(small(small_h5, tmp_path / "run", stages=(Stage(train, 1),)), verbose=0).fit()
    printed = capsys.readouterr().out
    assert (f"note: stage {train} keeps {told} as they begin, which is at random" in printed) == (told is not None)
