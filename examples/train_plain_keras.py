"""A detector with nothing but Keras: open a compiled file, `fit`, save, load, detect.

python examples/train_plain_keras.py DATA.h5 [EPOCHS] [OUT.keras]
"""

import sys

import keras

from data_tools import batches, open_store
from yolo_prune import RegionLoss, YoloV2


def main(data: str, epochs: str = "30", out: str = "detector.keras") -> int:
    """Trains on the split "train", checks on "val", detects in "test"."""
    store = open_store(data)
    model = YoloV2(
        len(store.class_names), "coco", store.image_size, variant="tiny", class_names=list(store.class_names)
    )
    model.compile(keras.optimizers.Adam(1e-3), loss=RegionLoss(model.anchors, model.num_classes))
    train, val = batches(store, "train", 16, augment=True), batches(store, "val", 16)
    model.fit(train, validation_data=val, epochs=int(epochs), shuffle=False)  # `batches` shuffles by itself
    model.save(out)

    model = keras.saving.load_model(out)
    height, width = store.image_size
    test = store["test"]
    for name, found in zip(test.ids, model.detect(test.images(slice(0, 8)), score=0.3), strict=False):
        for box, score, kind in zip(
            found.boxes * (width, height, width, height), found.scores, found.classes, strict=True
        ):
            print(f"{name}: {model.class_names[kind]} {score:.2f} at {box.round(1).tolist()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
