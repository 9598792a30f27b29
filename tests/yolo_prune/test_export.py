"""SavedModels of a detector, read back in a process that knows TensorFlow alone."""

import subprocess
import sys

import numpy as np
import pytest

from data_tools.image_files import resize
from prune_tools import export as exporter
from prune_tools import masks, runtimes
from run_tools.errors import InputError
from run_tools.optional import missing
from yolo_prune import export
from yolo_prune.export import export_saved_model
from yolo_prune.models import load_detector
from yolo_prune.records import Detections

READER = """
import sys
import numpy as np, tensorflow as tf
folder = sys.argv[1]
pixels = np.load(folder + "/pixels.npy")
answers = {}
for kind in ("raw", "nms"):
    loaded = tf.saved_model.load(f"{folder}/{kind}")
    assert sorted(loaded.signatures) == ["serving_default", "uint8"]
    for signature, images in (("serving_default", pixels.astype(np.float32) / np.float32(255)), ("uint8", pixels)):
        for count in (1, 3):
            for name, value in loaded.signatures[signature](image=tf.constant(images[:count])).items():
                answers[f"{kind}/{signature}/{count}/{name}"] = value.numpy()
ours = [name for name in sys.modules if name.split(".")[0] in ("yolo_prune", "prune_tools", "data_tools", "run_tools")]
assert not ours, ours
np.savez(folder + "/answers.npz", **answers)
"""


@pytest.fixture(scope="module")
def model(small_model):
    return load_detector(small_model)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """Both kinds on disk with three images, and what another process answered to these: (folder, told, answers)."""
    folder = tmp_path_factory.mktemp("exported")
    told = {
        "raw": export_saved_model(model, folder / "raw"),
        "nms": export_saved_model(model, folder / "nms", nms=True),
    }
    pixels = np.random.default_rng(1).integers(0, 256, (3, *model.image_size, 3), np.uint8)
    np.save(folder / "pixels.npy", pixels)
    # Isolated (-I): neither the working directory nor the environment can lend it our packages.
    done = subprocess.run(
        [sys.executable, "-I", "-c", READER, str(folder)], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder, told, dict(np.load(folder / "answers.npz")), pixels


@pytest.mark.parametrize("signature", ["serving_default", "uint8"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_raw_head_elsewhere_is_the_models(model, exported, signature, count):
    _, _, answers, pixels = exported
    wanted = model.predict(pixels[:count].astype(np.float32) / 255, verbose=0)
    logits = answers[f"raw/{signature}/{count}/logits"]
    assert logits.shape == (count, 2, 4, 50) and logits.dtype == np.float32
    np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


@pytest.mark.parametrize("signature", ["serving_default", "uint8"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_detections_elsewhere_are_those_of_our_own_suppression(model, exported, signature, count):
    _, _, answers, pixels = exported
    boxes, scores, classes, counts = (
        answers[f"nms/{signature}/{count}/{name}"] for name in ("boxes", "scores", "classes", "count")
    )
    assert boxes.shape == (count, 100, 4) and scores.shape == classes.shape == (count, 100) and counts.shape == (count,)
    assert classes.dtype == counts.dtype == np.int32
    for index, wanted in enumerate(model.detect(pixels[:count])):
        assert counts[index] == len(wanted) > 20
        kept = slice(int(counts[index]))
        order, theirs = (
            np.lexsort((box[:, 0].round(4), label, score.round(5)))
            for box, label, score in (
                (boxes[index, kept], classes[index, kept], scores[index, kept]),
                (wanted.boxes, wanted.classes, wanted.scores),
            )
        )
        np.testing.assert_array_equal(classes[index, kept][order], wanted.classes[theirs])
        np.testing.assert_allclose(scores[index, kept][order], wanted.scores[theirs], atol=1e-5)
        np.testing.assert_allclose(boxes[index, kept][order], wanted.boxes[theirs], atol=1e-5)
        assert not scores[index, counts[index] :].any()  # what is no detection scores nothing


def test_what_is_told(model, exported):
    folder, told, _, _ = exported
    raw, nms = told["raw"], told["nms"]
    assert raw["path"] == str(folder / "raw") and (raw["nms"], nms["nms"]) == (False, True)
    assert raw["input"] == [64, 128] and raw["class_names"] == ["car", "pedestrian", "cyclist", "truck", "tram"]
    assert raw["bytes"] == sum(path.stat().st_size for path in (folder / "raw").rglob("*") if path.is_file())
    assert raw["max_difference"] <= 1e-4 and nms["max_difference"] <= 1e-4
    # Two scenes through two signatures: a head of 2 x 4 cells of 50 values each; and some detections, seen both ways.
    assert raw["compared"] == 2 * 2 * 2 * 4 * 50 and nms["compared"] > 100


def test_each_weight_is_stored_once(model, exported):
    folder, _, _, _ = exported
    values = folder / "raw" / "variables" / "variables.data-00000-of-00001"
    stored = 4 * model.count_params()
    assert stored <= values.stat().st_size < 1.1 * stored + 2000


def test_limits_reach_the_graph(model, tmp_path):
    told = export_saved_model(model, tmp_path / "few", nms=True, score=0.2, iou=0.3, limit=7)
    assert told["compared"] > 0
    pixels = np.random.default_rng(2).integers(0, 256, (1, *model.image_size, 3), np.uint8)
    answer = exporter.run_saved_model(tmp_path / "few", pixels, "uint8")
    wanted = model.detect(pixels, score=0.2, iou=0.3, limit=7)[0]
    assert answer["boxes"].shape == (1, 7, 4) and answer["count"][0] == len(wanted) > 2
    np.testing.assert_allclose(answer["scores"][0, : len(wanted)], wanted.scores, atol=1e-5)


def test_a_wrong_answer_is_found_and_leaves_the_old_export(model, tmp_path, monkeypatch):
    export_saved_model(model, tmp_path / "saved")
    before = (tmp_path / "saved" / "saved_model.pb").read_bytes()
    right = exporter.run_saved_model

    def wrong(path, images, signature="serving_default"):
        answer = right(path, images, signature)
        return {name: value + np.float32(0.01) * np.abs(value).max() for name, value in answer.items()}

    monkeypatch.setattr(exporter, "run_saved_model", wrong)
    with pytest.raises(InputError, match="by 0.01 of the largest value"):
        export_saved_model(model, tmp_path / "saved")
    with pytest.raises(InputError, match="answers otherwise"):
        export_saved_model(model, tmp_path / "new")
    assert (tmp_path / "saved" / "saved_model.pb").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


@pytest.mark.parametrize("name", ["boxes", "scores", "classes"])
def test_wrong_detections_are_found(model, tmp_path, monkeypatch, name):
    right = exporter.run_saved_model

    def wrong(path, images, signature="serving_default"):
        answer = right(path, images, signature)
        moved = (answer[name] + 1) % 5 if name == "classes" else answer[name] + np.float32(0.001)
        return {**answer, name: moved}

    monkeypatch.setattr(exporter, "run_saved_model", wrong)
    with pytest.raises(InputError, match="detections have no counterpart"):
        export_saved_model(model, tmp_path / "new", nms=True)
    assert not (tmp_path / "new").exists()


def test_a_model_that_diverged_is_refused(make_detector, tmp_path):
    model = make_detector()
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * np.nan, bias])
    for nms in (False, True):
        with pytest.raises(InputError, match="not finite"):
            export_saved_model(model, tmp_path / "new", nms=nms)


def test_detections_are_compared_whatever_their_order_and_around_the_cut():
    boxes = np.array([[0, 0, 0.1, 0.1], [0.2, 0.2, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]])
    wanted = Detections(boxes, [0.9, 0.5, 0.3], [0, 1, 2])

    def answer(order, scores):
        rows = {"boxes": boxes[order], "scores": np.array(scores), "classes": np.array([0, 1, 2])[order]}
        return {**{name: value[None] for name, value in rows.items()}, "count": np.array([len(order)])}

    # The same three, first two swapped; each list is looked up in the other, so 2 x 3 are compared.
    assert export._compare_detections([wanted], answer([1, 0, 2], [0.5, 0.9, 0.3]), 0.005, 100) == (0, 6)
    # A full list's last may be another one: scores up to .3001 are not compared.
    assert export._compare_detections([wanted], answer([0, 1, 0], [0.9, 0.5, 0.3]), 0.005, 3) == (0, 4)
    # A missing one that is well above the cut is a mistake, and so is one too many.
    with pytest.raises(export._Differs, match="1 of 5"):
        export._compare_detections([wanted], answer([0, 1], [0.9, 0.5]), 0.005, 100)
    with pytest.raises(export._Differs, match="1 of 5"):
        export._compare_detections([wanted.take(slice(2))], answer([0, 1, 2], [0.9, 0.5, 0.3]), 0.005, 100)
    nothing = Detections(boxes[:0], [], [])
    with pytest.raises(export._Differs, match="3 of 3"):
        export._compare_detections([nothing], answer([0, 1, 2], [0.9, 0.5, 0.3]), 0.005, 100)


# ---- other runtimes

OTHERS = {"litert": "ai_edge_litert", "onnx": "onnxruntime", "openvino": "openvino"}


@pytest.fixture(scope="module")
def pruned(model):
    """The detector with 80 % of its kernels' weights at zero, whose scores still spread over 0-1."""
    copy = model.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    chosen = masks.global_magnitude(copy, 0.8)
    chosen.hold(copy)
    chosen.release(copy)
    return copy


@pytest.fixture(scope="module")
def converted(pruned, tmp_path_factory):
    """What was told of the files of all runtimes that are installed: (whether with suppression, format) → told."""
    there = [name for name in OTHERS if not missing([OTHERS[name], *exporter.FORMATS[name].packages])]
    folder = tmp_path_factory.mktemp("converted")
    return {
        (nms, name): told
        for nms in (False, True)
        for name, told in export.export(pruned, folder / str(nms), there, nms=nms, limit=20).items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("nms", [False, True], ids=["head", "detections"])
@pytest.mark.parametrize("name", list(OTHERS))
def test_other_runtimes_give_the_models_answers(pruned, converted, name, nms):
    for module in (OTHERS[name], *exporter.FORMATS[name].packages):
        pytest.importorskip(module, reason="the extra export")
    told = converted[nms, name]
    assert told["nms"] is nms and told["compared"] > (20 if nms else 100) and told["max_difference"] <= 1e-4
    assert told["zeros"]["kept"] == 1.0 and told["zeros"]["zeros"] > 3000
    pixels = np.random.default_rng(5).integers(0, 256, (1, *pruned.image_size, 3), np.uint8)
    runner = runtimes.open_model(name, told["path"], precision="f32")
    answer = runner.call({"image": pixels.astype(np.float32) / np.float32(255)})
    if not nms:
        wanted = pruned.logits(pixels)
        np.testing.assert_allclose(answer["logits"], wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
        return
    (wanted,) = pruned.detect(pixels, limit=20)
    count = int(answer["count"][0])
    assert count == len(wanted) == 20 and answer["boxes"].shape == (1, 20, 4)
    np.testing.assert_allclose(answer["scores"][0], wanted.scores, atol=1e-4)
    np.testing.assert_array_equal(answer["classes"][0], wanted.classes)
    np.testing.assert_allclose(answer["boxes"][0], wanted.boxes, atol=1e-4)


def test_suppression_of_one_image_pads_what_is_not_there(pruned):
    pixels = np.random.default_rng(6).integers(0, 256, (1, *pruned.image_size, 3), np.uint8)
    (found,) = pruned.detect(pixels)
    score = float(found.scores[9] + found.scores[10]) / 2  # ten are above it
    detect = export._detections_of_one(pruned, score, iou=0.45, limit=100)
    answer = {name: value.numpy() for name, value in detect(pixels.astype(np.float32) / 255).items()}
    (wanted,) = pruned.detect(pixels, score)
    count = int(answer["count"][0])
    assert count == len(wanted) == 10
    np.testing.assert_allclose(answer["boxes"][0, :count], wanted.boxes, atol=1e-4)
    for name in ("boxes", "scores", "classes"):
        assert not answer[name][0, count:].any()


def test_the_compressed_form_is_a_detector_again(pruned, tmp_path):
    told = export.export(pruned, tmp_path, ["compressed"], nms=True, choices=exporter.Choices(codec="lzma", bits=0))
    assert told["compressed"]["nms"] is False and told["compressed"]["zeros"]["exact"] is True
    again = load_detector(told["compressed"]["path"])
    pixels = np.random.default_rng(7).integers(0, 256, (1, *pruned.image_size, 3), np.uint8)
    assert type(again) is type(pruned) and again.class_names == pruned.class_names
    np.testing.assert_array_equal(again.logits(pixels), pruned.logits(pixels))


def test_own_pictures_are_compared_on(pruned, tmp_path):
    import cv2

    picture = np.random.default_rng(8).integers(0, 256, (30, 50, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "p.png"), picture)
    images = export.check_images(pruned, [tmp_path / "p.png"])
    np.testing.assert_array_equal(images[0], resize(picture[..., ::-1], pruned.image_size))
    told = export.export(pruned, tmp_path / "out", ["saved_model"], images=[tmp_path / "p.png"])["saved_model"]
    assert told["compared"] == 2 * 2 * 4 * 50  # both signatures, one image
    with pytest.raises(InputError, match="none.png"):
        export.export(pruned, tmp_path / "new", ["saved_model"], images=[tmp_path / "none.png"])
    assert not (tmp_path / "new").exists()
