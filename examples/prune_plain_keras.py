"""Prunes a stock Keras model under plain `fit`: nothing of this project but `prune_tools`.

python examples/prune_plain_keras.py IMAGES [SPARSITY] [EPOCHS] [SIDE] [OUT.keras]     IMAGES/<class>/*.jpg
"""

import sys

import keras

from prune_tools import cost, schedules
from prune_tools.pruner import Pruner


def main(images: str, sparsity: str = "0.8", epochs: str = "10", side: str = "96", out: str = "pruned.keras") -> int:
    """Trains MobileNetV2 on the images and prunes it on the way."""
    size = int(side), int(side)
    data = keras.utils.image_dataset_from_directory(images, image_size=size, batch_size=16)
    network = keras.applications.MobileNetV2((*size, 3), alpha=0.35, weights=None, classes=len(data.class_names))
    model = keras.Sequential([keras.Input((*size, 3)), keras.layers.Rescaling(1 / 127.5, offset=-1), network])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

    steps = int(epochs) * len(data)
    schedule = schedules.Cubic(float(sparsity), begin=steps // 10, end=steps * 7 // 10, every=max(1, steps // 20))
    pruner = Pruner(schedule)
    model.fit(data, epochs=int(epochs), callbacks=[pruner], shuffle=False)  # the data set shuffles by itself
    pruner.masks.release(model)
    model.save(out)

    found = cost.summary(model)
    print(f"{pruner.masks.sparsity():.1%} of {pruner.masks.total:,} weights pruned; {found['macs']:,} multiply-adds,")
    print(f"{found['macs_nonzero']:,} of them with a weight that is not zero")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
