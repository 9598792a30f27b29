"""A detector with nothing but Keras: open a compiled file, `fit`, save, load, detect.

python examples/train_plain_keras.py DATA.h5 [EPOCHS] [OUT.keras]
"""

import sys

import keras

from data_tools import batches, open_store
from yolo_prune import RegionLoss, YoloV2, class_map


def main(data: str, epochs: str = "30", out: str = "detector.keras") -> int:
    """Trains on the split "train", checks on "val", detects in "test"."""
    store = open_store(data)
    classes = class_map.class_set("merged") if "Car" in store.class_names else class_map.own_classes(store)
    model = YoloV2(len(classes.names), "coco", store.image_size, variant="tiny", class_names=classes.names)
    model.compile(keras.optimizers.Adam(1e-3), loss=RegionLoss(model.anchors, model.num_classes))
    lookup = classes.lookup(store.class_names)  # which class of the head a stored one is; DontCare is none
    train = batches(store, "train", 16, augment=True, class_map=lookup)  # shuffles by itself
    model.fit(train, validation_data=batches(store, "val", 16, class_map=lookup), epochs=int(epochs), shuffle=False)
    model.save(out)

    model, test = keras.saving.load_model(out), store["test"]
    for name, found in zip(test.ids, model.detect(test.images(slice(0, 8)), score=0.3), strict=False):
        for box, score, kind in zip(found.in_pixels(store.image_size).boxes, found.scores, found.classes, strict=True):
            print(f"{name}: {model.class_names[kind]} {score:.2f} at {box.round(1).tolist()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
