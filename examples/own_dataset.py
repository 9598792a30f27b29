"""A data set of your own, from a folder of images and a CSV of boxes to batches. docs/own_dataset.md walks through it.

python examples/own_dataset.py FOLDER
"""

import collections
import csv
import sys
from pathlib import Path

import cv2
import numpy as np

from data_tools import Box, DataCompiler, DataExtractor, Sample, batches, open_store
from run_tools.errors import InputError

COLOURS = {"box": (170, 120, 60), "tube": (60, 90, 200)}


class ParcelExtractor(DataExtractor):
    """Parcels on conveyor belts: `photos/BELT_NUMBER.png`, and `boxes.csv` with one parcel a line.

    Columns of the CSV: image, class, left, top, right, bottom, in pixels of the photo.
    """

    class_names = ("box", "tube")
    source = "made-up parcels"
    ignored_names = ("unclear",)

    def __init__(self, root):
        self.root = Path(root)
        self.boxes = collections.defaultdict(list)
        with open(self.root / "boxes.csv", newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                try:
                    sides = [float(row[side]) for side in ("left", "top", "right", "bottom")]
                except (TypeError, ValueError):
                    raise InputError(f"{row} in {file.name}", "four numbers", "correct the line") from None
                self.boxes[row["image"]].append(Box(row["class"], *sides))

    def ids(self):
        """Every photo, also those without parcels."""
        found = sorted(path.stem for path in (self.root / "photos").glob("*.png"))
        lost = set(self.boxes).difference(found)
        if lost:
            raise InputError(
                f"boxes of {min(lost)}", f"its photo in {self.root / 'photos'}", "add it or remove the lines"
            )
        return found

    def sample(self, sample_id):
        """Photo, parcels and belt of one id."""
        boxes = tuple(self.boxes.get(sample_id, ()))
        belt = sample_id.split("_")[0]
        return Sample(sample_id, self.root / "photos" / f"{sample_id}.png", boxes, group=belt)

    def groups_known(self):
        """Photos of one belt look alike, so no belt may be in two splits."""
        return True


def make_up(root, belts=10, photos=8):
    """Writes such a folder: in your case it is already there."""
    rng = np.random.default_rng(0)
    root = Path(root)
    (root / "photos").mkdir(parents=True, exist_ok=True)
    with open(root / "boxes.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "class", "left", "top", "right", "bottom"])
        for belt in range(belts):
            grey = rng.integers(90, 200)
            for number in range(photos):
                name = f"belt{belt:02d}_{number:03d}"
                photo = rng.normal(grey, 8, (150, 200, 3)).clip(0, 255).astype(np.uint8)
                for slot in range(rng.integers(0, 4)):
                    kind = str(rng.choice(["box", "tube"]))
                    width, height = (rng.integers(24, 40), rng.integers(24, 40)) if kind == "box" else (48, 14)
                    left, top = 66 * slot + rng.integers(0, 66 - width), rng.integers(5, 100)
                    photo[top : top + height, left : left + width] = COLOURS[kind]
                    writer.writerow([name, kind, left, top, left + width, top + height])
                cv2.imwrite(str(root / "photos" / f"{name}.png"), photo[..., ::-1])  # OpenCV writes BGR


def main(folder: str) -> int:
    """Makes up the raw data, compiles it and looks at one batch."""
    root = Path(folder)
    make_up(root)
    compiled = DataCompiler(ParcelExtractor(root), image_size=(160, 224), split="drive").compile(root / "parcels.h5")
    for split, counts in compiled["splits"].items():
        print(f"{split}: {counts['images']} photos, {counts['groups']} belts, boxes {counts['boxes']}")

    store = open_store(root / "parcels.h5")
    images, true_boxes = batches(store, "train", 16, augment=True)[0]
    print(f"a batch: {images.dtype} {images.shape}, {true_boxes.dtype} {true_boxes.shape}")
    print(f"next: python examples/train_plain_keras.py {store.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
