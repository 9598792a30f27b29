"""Batches by memory, filled up, halved and timed."""

import keras
import numpy as np
import pytest

from run_tools import memory
from yolo_prune import forward
from yolo_prune.forward import LARGEST, LARGEST_ON_CPU, OVERHEAD, SHARE, Forward, bytes_per_image, choose_batch_size


def branched():
    """8x8x2 → 8x8x3 → 4x4x3, and the first again at the end."""
    image = keras.Input((8, 8, 2))
    wide = keras.layers.Conv2D(3, 1)(image)
    small = keras.layers.MaxPooling2D(2)(wide)
    large = keras.layers.UpSampling2D(2)(small)
    return keras.Model(image, keras.layers.Concatenate()([large, wide]))


def test_bytes_per_image_counts_what_is_alive():
    # Numbers a tensor: image 128, wide 192, small 48, large 192, both 384. Alive while each is computed: image 128;
    # image + wide 320; wide + small 240; wide + small + large 432; wide + large + both 768, the most.
    assert bytes_per_image(branched()) == int(768 * 4 * OVERHEAD)


def test_the_batch_fits_its_share_of_the_memory(monkeypatch):
    model = branched()
    per_image = bytes_per_image(model)

    def chosen(free, most=1000):
        monkeypatch.setattr(memory, "available", lambda: free)
        return choose_batch_size(model, most).images

    monkeypatch.setattr(forward, "has_gpu", lambda: True)
    assert chosen(int(8 * per_image / SHARE)) == 8
    assert chosen(int(8 * per_image / SHARE) - 8) == 4
    assert chosen(0) == 1  # one image must do
    assert chosen(10**12) == LARGEST
    assert chosen(10**12, most=3) == 3
    monkeypatch.setattr(forward, "has_gpu", lambda: False)
    assert chosen(10**12) == LARGEST_ON_CPU and chosen(int(2 * per_image / SHARE)) == 2
    assert choose_batch_size(model, 1000, given=50).images == 50 and choose_batch_size(model, 4, given=50).images == 4


class Fake:
    """Stands for a detector: the head of an image is its first pixel; a batch of more than `fits` does not fit."""

    image_size = (2, 2)

    def __init__(self, fits=100, error=MemoryError):
        self.fits, self.error, self.sizes = fits, error, []

    def logits(self, batch):
        if len(batch) > self.fits:
            raise self.error
        self.sizes.append(len(batch))
        return batch[:, :1, :1, :1].astype(np.float32)


def images(count):
    return [np.full((2, 2, 3), k, np.uint8) for k in range(count)]


def test_every_batch_has_the_same_size():
    model = Fake()
    run = Forward(model, 4)
    run.warm_up()
    assert run.count == 0 and run.seconds == 0
    assert run(images(4)).ravel().tolist() == [0, 1, 2, 3]
    assert run(images(3)).ravel().tolist() == [0, 1, 2]
    assert model.sizes == [4, 4, 4] and run.count == 7 and run.seconds > 0


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: out of memory")])
def test_a_batch_that_does_not_fit_is_halved(error):
    model = Fake(fits=3, error=error)
    run = Forward(model, 8)
    assert run(images(7)).ravel().tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert run.images == 2 and model.sizes == [2, 2, 2, 2]  # 8 and 4 did not fit; the last is filled up


def test_other_errors_and_a_single_image_that_does_not_fit_are_told():
    with pytest.raises(ValueError, match="shape"):
        Forward(Fake(fits=0, error=ValueError("shape")), 8)(images(1))
    with pytest.raises(MemoryError):
        Forward(Fake(fits=0), 8)(images(1))


def test_of_a_real_network(make_detector):
    model = make_detector()
    run = Forward(model, 2)
    pictures = [np.random.default_rng(k).integers(0, 255, (64, 128, 3), np.uint8) for k in range(3)]
    np.testing.assert_allclose(run(pictures), model.predict_on_batch(np.stack(pictures) / 255.0), rtol=1e-3, atol=1e-2)
    # conv_1 and norm_1, 64x128x8 float32 each, are the most: 2 * 262144 bytes.
    assert bytes_per_image(model) == int(2 * 64 * 128 * 8 * 4 * forward.OVERHEAD)
