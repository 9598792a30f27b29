"""darknet's early pull towards the anchors ends after so many images, wherever in an epoch that is."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

from run_tools import config
from run_tools.errors import InputError
from run_tools.folder import RunFolder
from yolo_prune.detector import YoloV2
from yolo_prune.loss import RegionLoss
from yolo_prune.metrics import region_metrics
from yolo_prune.models import load_model
from yolo_prune.prior import PriorEnds
from yolo_prune.recipe import Stage, TrainConfig
from yolo_prune.trainer import Trainer

ANCHORS = ((1.0, 1.0), (0.5, 0.8))


def data():
    rng = np.random.default_rng(0)
    images, boxes = rng.random((12, 64, 64, 3), np.float32), rng.uniform(0.2, 0.8, (12, 2, 5)).astype(np.float32)
    boxes[..., 4] = rng.integers(0, 2, (12, 2))
    return images, boxes


def model_with(prior):
    keras.utils.set_random_seed(5)
    model = YoloV2(2, ANCHORS, image_size=(64, 64), variant="tiny", widths=(4,) * 8)
    compiled(model, prior)
    return model


def compiled(model, prior):
    loss = RegionLoss(ANCHORS, 2, prior_scale=prior)
    model.compile(keras.optimizers.SGD(0.01), loss, metrics=region_metrics(loss))


@pytest.mark.parametrize("images, with_prior", [(1, 0), (5, 1), (16, 3), (17, 4), (1000, 6)])
def test_a_batch_has_it_while_fewer_images_were_seen(images, with_prior):
    # Two epochs of three batches of four. darknet's train_network_datum adds a batch to `seen` before its forward pass,
    # which so finds 4, 8, 12, 16, 20, 24: below 16 in three batches, below 17 in four.
    every, boxes = data()
    model = model_with(0.5)
    ends = PriorEnds(model.loss, images, 4, 3)
    model.fit(every, boxes, batch_size=4, epochs=2, shuffle=False, callbacks=[ends], verbose=0)

    # The same steps one by one; plain gradient descent keeps nothing between them.
    other = model_with(0.5)
    for step in range(6):
        if step == with_prior:
            compiled(other, 0.0)
        part = slice(4 * (step % 3), 4 * (step % 3) + 4)
        other.train_on_batch(every[part], boxes[part])
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
    assert model.loss.prior_scale == (0.5 if with_prior == 6 else 0.0)


def test_a_training_that_was_cut_off_ends_alike(small, small_h5, tmp_path, train_leaving):
    # Three steps of four images an epoch: all of the first epoch and a step of the second have the term.
    stages = (Stage("all", 2, 1e-2, warmup=0, prior_scale=0.5, prior_images=17),)
    options = {"stages": stages, "monitor": "val_loss", "ap_every": 2}
    cut = small(small_h5, tmp_path / "cut", **options)
    train_leaving(Trainer(small(small_h5, tmp_path / "whole", **options), verbose=0), cut.out, 1)
    rows = RunFolder(tmp_path / "whole").metrics()
    assert rows[0]["prior"] > rows[1]["prior"] > 0 and rows[0]["val_prior"] > 0 and rows[1]["val_prior"] == 0
    Trainer(cut, verbose=0).fit()
    first, second = (load_model(tmp_path / run / "last.keras") for run in ("whole", "cut"))
    for one, two in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(two, one, atol=1e-6)


def test_the_documented_recipe_of_darknet_is_a_config():
    text = (Path(__file__).resolve().parents[2] / "docs/darknet.md").read_text(encoding="utf-8")
    told = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    chosen = config.from_mapping(TrainConfig, {**told, "data": "kitti.h5", "out": "run"}, where="docs/darknet.md")
    assert chosen.stages[0].prior_images == 12_800 and chosen.batch_size * chosen.accumulate == 64
    # Ten batches of 64 a size.
    assert chosen.sizes_every == 10 * chosen.accumulate and len(chosen.sizes) == 10


@pytest.mark.parametrize("images, scale", [(0, 0.01), (12_800, 0.0)])
def test_what_makes_no_sense(images, scale):
    with pytest.raises(InputError, match="prior_scale .01 and prior_images 12800"):
        Stage(prior_scale=scale, prior_images=images)
