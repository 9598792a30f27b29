"""`detect`: the files, the numbers, and what a wrong input leads to."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from data_tools import frames as frames_module
from data_tools.image_files import resize
from data_tools.kitti import read_labels
from data_tools.records import Box
from data_tools.store import open_store
from data_tools.video import VideoInput
from run_tools.errors import InputError
from yolo_prune import verbs_detect
from yolo_prune.class_map import class_set
from yolo_prune.cli import main
from yolo_prune.evaluation import kitti
from yolo_prune.models import load_detector
from yolo_prune.options import DetectConfig
from yolo_prune.predict import truths
from yolo_prune.records import Detections
from yolo_prune.results import as_boxes
from yolo_prune.verbs_detect import class_indices, table
from yolo_prune.verbs_kitti import KittiEval, kitti_eval

ROOT = Path(__file__).resolve().parents[2]
MERGED = class_set("merged")


@pytest.fixture
def pictures(tmp_path, small_kitti):
    """A PNG, a JPEG of another size and a grey PNG."""
    folder = tmp_path / "in"
    folder.mkdir()
    first = cv2.imread(str(small_kitti / "training/image_2/000000.png"))
    cv2.imwrite(str(folder / "a.png"), first)
    cv2.imwrite(str(folder / "b.jpg"), cv2.resize(first, (333, 77)))
    cv2.imwrite(str(folder / "c.png"), cv2.cvtColor(first, cv2.COLOR_BGR2GRAY))
    return [folder / name for name in ("a.png", "b.jpg", "c.png")]


def write_video(path, count=7, size=(96, 160), codec="MJPG", rate=10.0):
    """A moving pattern; motion JPEG keeps each image for itself, so a cut takes only what comes after it."""
    rng = np.random.default_rng(0)
    scene = cv2.resize(rng.integers(0, 255, (12, 20, 3), np.uint8), size[::-1])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, size[::-1])
    for k in range(count):
        writer.write(np.roll(scene, 8 * k, axis=1))
    writer.release()
    return path


@pytest.fixture
def clip(tmp_path):
    return write_video(tmp_path / "clip.avi")


def run_detect(small_model, given, out, **options):
    return verbs_detect.detect(DetectConfig(image=tuple(given), model=small_model, out=out, **options))


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# ---- pictures


def test_pictures_and_result_files(small_model, pictures, tmp_path):
    result = run_detect(small_model, pictures, tmp_path / "out", batch_size=2)
    model = load_detector(small_model)
    assert everything(tmp_path / "out") == ["a.png", "b.png", "c.png", *(f"results/{name}.txt" for name in "abc")]
    for path in pictures:
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        height, width = image.shape[:2]
        drawn = cv2.imread(str(tmp_path / "out" / f"{path.stem}.png"))
        assert drawn.shape == (height, width, 3) and (drawn[..., ::-1] != image).any()
        boxes = read_labels(tmp_path / "out/results" / f"{path.stem}.txt")
        found = model.detect(resize(image, (64, 128))[None])[0]
        assert len(boxes) == len(found) > 10
        wanted = found.boxes * [width, height, width, height]  # that picture's own pixels, two decimals in the file
        np.testing.assert_allclose([box.xyxy for box in boxes], wanted, atol=0.0151)
        assert [box.class_name.lower() for box in boxes] == [MERGED.names[index] for index in found.classes]
        assert [box.score for box in boxes] == pytest.approx(found.scores.tolist(), abs=1e-5)
        counted = sum(result["images"][path.name].values())
        assert counted == (found.scores >= 0.3).sum() > 0
    assert result["batch"]["images"] == 2 and result["batch"]["available"] is None
    assert result["speed"]["images"] == 3 and result["speed"]["overall"] > 0 and result["speed"]["network"] > 0
    told = table(result)
    assert "KITTI result files in" in told and "note" not in told and "frames/s overall" in told


def test_a_model_and_a_picture_are_enough(small_model, pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["detect", "--model", str(small_model), str(pictures[0])]) == 0
    assert everything(tmp_path / "detections") == ["a.png", "results/a.txt"]
    assert "pictures in detections" in capsys.readouterr().out


def test_result_files_feed_the_official_metric(perfect, small_model, small_h5, small_kitti, tmp_path):
    store = open_store(small_h5)
    ids = store["test"].ids  # `perfect` answers in this order
    images = [small_kitti / "training/image_2" / f"{name}.png" for name in ids]
    run_detect(small_model, images, tmp_path / "out", batch_size=3)
    result = kitti_eval(KittiEval(small_kitti / "training/label_2", tmp_path / "out/results"))
    true = truths(store, "test", MERGED.lookup(store.class_names))
    kept = [truth.classes >= 0 for truth in true]
    found = [Detections(t.boxes[k], np.full(k.sum(), 0.9), t.classes[k]) for t, k in zip(true, kept, strict=True)]
    by_arrays = kitti.kitti(true, found, MERGED.names)
    for name in ("car", "pedestrian"):
        for difficulty, wanted in by_arrays[name].items():
            assert result[name][difficulty] == pytest.approx(wanted) and wanted["AP11"] == pytest.approx(100 / 11)


def test_no_detection_is_an_empty_result_file(small_model, pictures, tmp_path):
    result = run_detect(small_model, pictures[:1], tmp_path / "out", score=1.0, result_score=1.0)
    assert (tmp_path / "out/results/a.txt").read_text() == "" and read_labels(tmp_path / "out/results/a.txt") == ()
    assert "a.png: nothing" in table(result)


def test_classes_without_a_name_in_kitti_are_drawn_and_left_out_of_the_files(make_detector, pictures, tmp_path):
    make_detector("coco").save(tmp_path / "coco.keras")
    result = run_detect(tmp_path / "coco.keras", pictures[:1], tmp_path / "out", score=0.005)
    boxes = read_labels(tmp_path / "out/results/a.txt")  # it refuses types it does not know
    assert len(boxes) < sum(result["images"]["a.png"].values())
    assert "traffic light" in result["not_in_results"] and "person" not in result["not_in_results"]
    assert "note: KITTI's format has no motorbike, aeroplane, bus and 72 more" in table(result)
    make_detector(class_names=None).save(tmp_path / "none.keras")
    result = run_detect(tmp_path / "none.keras", pictures[:1], tmp_path / "out")
    assert set(result["images"]["a.png"]) <= {f"class {k}" for k in range(5)} and len(result["not_in_results"]) == 5


def test_as_boxes_names_the_classes_as_kitti_does():
    found = Detections([[1, 2, 3, 4]] * 4, [0.9, 0.8, 0.7, 0.6], [0, 1, 2, 3])
    boxes = as_boxes(found, ("person", "person_sitting", "boat", "train"))
    assert [box.class_name for box in boxes] == ["Pedestrian", "Person_sitting", "Tram"]
    unknown = Box("Tram", 1, 2, 3, 4, truncated=-1, occluded=-1, score=boxes[2].score)
    assert boxes[2] == unknown and boxes[2].score == pytest.approx(0.6)


def test_only_some_classes(small_model, pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(verbs_detect, "LIMIT", 12)
    run_detect(small_model, pictures[:1], tmp_path / "all")
    everyone = read_labels(tmp_path / "all/results/a.txt")
    assert len(everyone) == 12  # the limit: some cars did not make it
    result = run_detect(small_model, pictures[:1], tmp_path / "some", classes=("car", "Tram"))
    chosen = read_labels(tmp_path / "some/results/a.txt")
    assert {box.class_name for box in chosen} == {"Car", "Tram"} and set(result["images"]["a.png"]) <= {"car", "tram"}
    before = [box for box in everyone if box.class_name in ("Car", "Tram")]
    assert chosen[: len(before)] == tuple(before) and len(chosen) > len(before)
    with pytest.raises(InputError, match="unknown class 'cra'.*did you mean 'car'"):
        class_indices(("cra",), MERGED.names)


def test_coco_results_are_read_by_pycocotools(small_model, pictures, tmp_path):
    run_detect(small_model, pictures, tmp_path / "out", results="both", result_score=0.1)
    with redirect_stdout(io.StringIO()):
        images = COCO(str(tmp_path / "out/coco/images.json"))
        found = images.loadRes(str(tmp_path / "out/coco/results.json"))
    names = {entry["id"]: entry["name"] for entry in images.loadCats(images.getCatIds())}
    assert names == {k + 1: name for k, name in enumerate(MERGED.names)}
    assert [entry["file_name"] for entry in images.loadImgs(images.getImgIds())] == ["a.png", "b.jpg", "c.png"]
    assert images.loadImgs([2])[0] == {"id": 2, "file_name": "b.jpg", "height": 77, "width": 333}
    for image, name in enumerate("abc", start=1):
        boxes = read_labels(tmp_path / f"out/results/{name}.txt")
        entries = found.loadAnns(found.getAnnIds([image]))
        assert [names[entry["category_id"]] for entry in entries] == [box.class_name.lower() for box in boxes]
        # Left, top, width, height there; left, top, right, bottom here, two decimals each.
        sides = [[x, y, x + w, y + h] for x, y, w, h in (entry["bbox"] for entry in entries)]
        np.testing.assert_allclose(sides, [box.xyxy for box in boxes], atol=0.0151)
        assert [entry["score"] for entry in entries] == pytest.approx([box.score for box in boxes], abs=2e-6)
        assert min(entry["score"] for entry in entries) >= 0.1
    run_detect(small_model, pictures[:1], tmp_path / "none", results="coco", score=1.0, result_score=1.0)
    assert everything(tmp_path / "none") == ["a.png", "coco/images.json", "coco/results.json"]
    assert json.loads((tmp_path / "none/coco/results.json").read_text()) == []


def test_pictures_of_the_same_name_keep_their_folders(small_model, pictures, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.png").write_bytes(pictures[0].read_bytes())
    result = run_detect(small_model, [tmp_path / "in", other], tmp_path / "out")
    assert everything(tmp_path / "out") == sorted(
        ["b.png", "c.png", "in/a.png", "other/a.png"]
        + ["results/b.txt", "results/c.txt", "results/in/a.txt", "results/other/a.txt"]
    )
    assert list(result["images"]) == ["in/a.png", "b.jpg", "c.png", "other/a.png"]


# ---- videos


def test_a_video_becomes_a_video_and_a_file_an_image(small_model, clip, pictures, tmp_path):
    result = run_detect(small_model, [clip, pictures[0]], tmp_path / "out", frames=True, batch_size=3, results="both")
    numbers = [f"{k:06d}" for k in range(7)]
    assert everything(tmp_path / "out") == sorted(
        ["a.png", "clip.mp4", "coco/images.json", "coco/results.json", "results/a.txt"]
        + [f"clip/{name}.png" for name in numbers]
        + [f"results/clip/{name}.txt" for name in numbers]
    )
    told = result["videos"]["clip.avi"]
    assert told["frames"] == 7 and told["rate"] == pytest.approx(10.0) and result["video"] == ("mp4v", ".mp4")
    assert "clip.avi: 7 images at 10/s" in table(result) and "NAME.mp4 (mp4v)" in table(result)
    video, drawn = VideoInput(clip), VideoInput(tmp_path / "out/clip.mp4")
    assert drawn.count == 7 and drawn.rate == pytest.approx(10.0)
    model, total = load_detector(small_model), 0
    for name, image, shown in zip(numbers, video.frames(), drawn.frames(), strict=True):
        boxes = read_labels(tmp_path / f"out/results/clip/{name}.txt")
        found = model.detect(resize(image, (64, 128))[None])[0]
        np.testing.assert_allclose([box.xyxy for box in boxes], found.boxes * [160, 96, 160, 96], atol=0.0151)
        picture = cv2.cvtColor(cv2.imread(str(tmp_path / f"out/clip/{name}.png")), cv2.COLOR_BGR2RGB)
        assert picture.shape == shown.shape == (96, 160, 3)
        # The video is compressed; still it shows this drawing and not the next one.
        assert np.abs(picture.astype(int) - shown).mean() < 25
        total += int((found.scores >= 0.3).sum())
    assert sum(told["counts"].values()) == total > 7
    listed = json.loads((tmp_path / "out/coco/images.json").read_text())["images"]
    assert [entry["file_name"] for entry in listed] == [*(f"clip/{name}" for name in numbers), "a.png"]


def test_results_alone(small_model, clip, tmp_path):
    result = run_detect(small_model, [clip], tmp_path / "out", video=False)
    assert everything(tmp_path / "out") == [f"results/clip/{k:06d}.txt" for k in range(7)]
    assert result["video"] is None and "NAME.mp4" not in table(result)


def test_a_video_that_is_cut_off_leaves_nothing_unless_asked(small_model, clip, pictures, tmp_path):
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(InputError, match=r"clip\.avi with [1-4] of its 7 frames"):
        run_detect(small_model, [clip], tmp_path / "out")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*"))
    result = run_detect(small_model, [clip, pictures[0]], tmp_path / "out", keep_going=True)
    seen = result["videos"]["clip.avi"]["frames"]
    assert 1 <= seen <= 4 and VideoInput(tmp_path / "out/clip.mp4").count == seen
    assert f"left out: video {clip} with {seen} of its 7 frames, which are used" in table(result)
    assert (tmp_path / "out/a.png").is_file()


def test_no_video_at_all(small_model, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(InputError, match=r"text\.mp4 of 8 bytes that cannot be opened"):
        run_detect(small_model, [tmp_path / "text.mp4"], tmp_path / "out")
    with pytest.raises(InputError, match=r"none\.mp4, which is not a file"):
        run_detect(small_model, [tmp_path / "none.mp4"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match=r"--out .*text\.mp4, which is a file"):
        run_detect(small_model, [tmp_path / "text.mp4"], tmp_path / "text.mp4")


def test_ffmpeg_and_opencv_keep_quiet(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    code = (
        "import sys, pathlib\nfrom run_tools.errors import InputError\nfrom data_tools import video\n"
        "video.CODECS = (('avc1', '.mp4'), ('mp4v', '.mp4'))\nprint(video.output_format())\n"
        "try:\n    video.VideoInput(pathlib.Path(sys.argv[1]))\nexcept InputError:\n    sys.exit(3)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV")}
    words = [sys.executable, "-c", code, str(tmp_path / "text.mp4")]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (3, "")


# ---- what goes wrong


def test_a_broken_picture_among_good_ones_writes_nothing(small_model, pictures, tmp_path):
    broken = pictures[2]
    broken.write_bytes(broken.read_bytes()[:-500])
    with pytest.raises(InputError, match=r"c\.png that is cut off"):
        run_detect(small_model, pictures, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    result = run_detect(small_model, pictures, tmp_path / "out", keep_going=True)
    assert everything(tmp_path / "out") == ["a.png", "b.png", "results/a.txt", "results/b.txt"]
    assert list(result["skipped"]) == ["c.png"] and "left out: image" in table(result)


def test_damage_that_only_decoding_shows(small_model, pictures, tmp_path):
    data = bytearray(pictures[2].read_bytes())
    data[len(data) // 2] ^= 255  # the checksum of that chunk is wrong now, beginning and end are right
    pictures[2].write_bytes(data)
    with pytest.raises(InputError, match=r"c\.png whose PNG chunk .* wrong checksum"):
        run_detect(small_model, pictures, tmp_path / "out", batch_size=1, results="both")
    written = everything(tmp_path / "out")
    assert set(written) <= {"a.png", "b.png", "results/a.txt", "results/b.txt"}
    assert all(cv2.imread(str(tmp_path / "out" / name)) is not None for name in written if name.endswith(".png"))
    result = run_detect(small_model, pictures, tmp_path / "all", keep_going=True, results="both")
    assert list(result["images"]) == ["a.png", "b.jpg"] and list(result["skipped"]) == ["c.png"]


def test_nothing_that_can_be_read(small_model, pictures, tmp_path):
    pictures[0].write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.png that is empty, and nothing else"):
        run_detect(small_model, pictures[:1], tmp_path / "out", keep_going=True)


@pytest.mark.parametrize("kind", ["replaced", "missing", "text"])
def test_pictures_that_cannot_be(small_model, pictures, tmp_path, kind):
    before = {path: path.read_bytes() for path in pictures}
    other = tmp_path / "in" / "d.jpg"
    other.write_text("no picture")
    given, out, told = {
        "replaced": (pictures, tmp_path / "in", "the drawing would replace the picture"),
        "missing": ([tmp_path / "none.png"], tmp_path / "out", "cannot be read"),
        "text": ([other], tmp_path / "out", "neither PNG nor JPEG"),
    }[kind]
    with pytest.raises(InputError, match=told):
        run_detect(small_model, given, out)
    assert {path: path.read_bytes() for path in pictures} == before and not (tmp_path / "out").exists()
    assert not (tmp_path / "in" / "results").exists()


def test_folders_of_other_things_are_not_replaced(small_model, clip, tmp_path):
    for place, options in (("clip", {"frames": True}), ("results/clip", {}), ("coco", {"results": "coco"})):
        out = tmp_path / place.replace("/", "-")
        (out / place).mkdir(parents=True)
        (out / place / "diary.txt").write_text("mine")
        with pytest.raises(InputError, match=r"which holds diary\.txt; expected no such folder"):
            run_detect(small_model, [clip], out, **options)
        assert everything(out) == [f"{place}/diary.txt"]
    # Results of an earlier run are replaced, those of images that are no more included.
    run_detect(small_model, [clip], tmp_path / "out", video=False)
    write_video(clip, count=2)
    run_detect(small_model, [clip], tmp_path / "out", video=False)
    assert everything(tmp_path / "out") == ["results/clip/000000.txt", "results/clip/000001.txt"]
    with pytest.raises(InputError, match=r"which holds .*000000\.png; expected another folder"):
        run_detect(small_model, [clip, tmp_path / "out/clip/000000.png"], tmp_path / "out", frames=True)


def test_a_writer_that_fails_stops_the_run(small_model, pictures, tmp_path, monkeypatch):
    def full(self, frame, found):
        raise OSError(28, "No space left on device", "x.png")

    monkeypatch.setattr(verbs_detect.Outputs, "picture", full)
    with pytest.raises(OSError, match="No space left"):
        run_detect(small_model, pictures, tmp_path / "out", results="both")
    assert not list((tmp_path / "out").rglob("*"))


def test_few_images_are_in_memory(small_model, tmp_path, monkeypatch):
    """However many pictures there are, only some are decoded and not yet written."""
    for index in range(40):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((40, 60, 3), index, np.uint8))
    alive, most = [0], [0]
    read, picture = frames_module.read_rgb, verbs_detect.Outputs.picture

    def counted(path):
        alive[0] += 1
        most[0] = max(most[0], alive[0])
        return read(path)

    def written(self, frame, found):
        picture(self, frame, found)
        alive[0] -= 1

    monkeypatch.setattr(frames_module, "read_rgb", counted)
    monkeypatch.setattr(verbs_detect.Outputs, "picture", written)
    run_detect(small_model, [tmp_path], tmp_path / "out", batch_size=2)
    # A batch, twice as many read ahead and one in the reader's hand; 2 to 4 threads write, with 2 more than twice as
    # many waiting. Counting without a lock may be off by a few.
    assert alive[0] <= 3 and most[0] <= 2 + 4 + 1 + 10 + 4 + 3
