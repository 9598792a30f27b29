"""Takes channels out of a trained Keras classifier: nothing of this project but `prune_tools`.

python examples/shrink_plain_keras.py MODEL.keras IMAGES [KEEP] [EPOCHS] [OUT.keras]     IMAGES/<class>/*.jpg
"""

import sys

import keras

from prune_tools import budget, cost, statistics, surgery


def main(trained: str, images: str, keep: str = "0.5", epochs: str = "5", out: str = "smaller.keras") -> int:
    """Cuts the model to a part of its multiply-adds and trains on."""
    model = keras.saving.load_model(trained)
    data = keras.utils.image_dataset_from_directory(images, image_size=model.input_shape[1:3], batch_size=16)

    found = statistics.collect(model, data)  # what each unit says, in one pass over the images
    removals = budget.choose(model, found, score="residual", keep=float(keep))  # the widths of all layers at once
    smaller = surgery.remove(model, removals, statistics=found)  # the next layers refitted on what is left

    smaller.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy", metrics=["accuracy"])
    smaller.fit(data, epochs=int(epochs), shuffle=False)  # the data set shuffles by itself
    smaller.save(out)

    print(removals)
    before, after = cost.summary(model), cost.summary(smaller)
    for name in ("parameters", "macs"):
        print(f"{name}: {before[name]:,}, now {after[name]:,}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
