"""Distillation: the loss by hand and literally, what learns and what does not, and trainings with a teacher."""

import math

import keras
import numpy as np
import pytest

from data_tools.augment import Augment
from run_tools.errors import InputError
from run_tools.folder import RunFolder
from yolo_prune.distillation import DistillationLoss, distil
from yolo_prune.loss import RegionLoss
from yolo_prune.models import load_detector, load_model
from yolo_prune.pruning.settings import Pruning
from yolo_prune.recipe import Stage, TrainConfig
from yolo_prune.trainer import Trainer

ANCHORS = ((1.0, 1.0), (0.5, 2.0))
TRAINING = {"stages": (Stage("all", 3, 1e-2, warmup=0),), "anchors": "voc", "monitor_every": 3}


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softmax(values):
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def value(teacher, logits, anchors=((1.0, 1.0),), classes=2, **options):
    return keras.ops.convert_to_numpy(DistillationLoss(anchors, classes, **options).call(teacher, logits))


def head(*numbers):
    """The raw head of one cell with one anchor."""
    return np.array(numbers, np.float32).reshape(1, 1, 1, -1)


def test_the_loss_by_hand():
    # o = σ(0) = .5, so the objectness counts 1 + .5 · (5 − 1) = 3; the student's is σ(ln 3) = .75:
    # ½ · 3 · .25² = .09375.
    taught = head(0, 0, math.log(0.5), math.log(0.5), 0, 0, 0)
    assert value(taught, head(0, 0, math.log(0.5), math.log(0.5), math.log(3), 0, 0)) == pytest.approx([0.09375])
    # tx off by σ(ln 3) − σ(0) = .25, tw by 1; the teacher's box is .5 × .5, so both count 2 − .25 = 1.75:
    # .5 · ½ · 1.75 · (.0625 + 1) = .46484375.
    learnt = head(math.log(3), 0, math.log(0.5) + 1, math.log(0.5), 0, 0, 0)
    assert value(taught, learnt) == pytest.approx([0.46484375])
    assert value(taught, learnt, box_weighting=False, coord_scale=2.0) == pytest.approx([0.53125])
    # Classes: the teacher says ½ ½, the student ¾ ¼: .5 · (½ ln(2/3) + ½ ln 2) = .5 · ½ · ln(4/3) = .0719205.
    learnt = head(0, 0, math.log(0.5), math.log(0.5), 0, math.log(3), 0)
    assert value(taught, learnt) == pytest.approx([0.0719205], abs=1e-6)
    # A box larger than the image counts 1, not less than nothing: .5 · ½ · 1 · 1.
    assert value(head(0, 0, 2, 2, 0, 0, 0), head(0, 0, 1, 2, 0, 0, 0)) == pytest.approx([0.25])


def test_background_teaches_no_boxes():
    taught, learnt = head(0, 0, 0, 0, -30, 0, 0), head(2, -2, 1, -1, -30, 3, 0)
    assert value(taught, learnt) == pytest.approx([0.0], abs=1e-9)


@pytest.mark.parametrize("classes", [1, 3])
def test_nothing_is_left_where_both_agree(classes):
    logits = np.random.default_rng(0).normal(0, 3, (4, 3, 5, 2 * (5 + classes))).astype(np.float32)
    np.testing.assert_allclose(value(logits, logits, ANCHORS, classes), 0, atol=1e-6)


def test_the_loss_is_its_literal_version():
    rng = np.random.default_rng(1)
    taught, logits = (rng.normal(0, 2, (2, 2, 3, 2 * 8)).astype(np.float32) for _ in range(2))
    expected = []
    for image in range(2):
        total = 0.0
        for row in range(2):
            for column in range(3):
                for anchor, (wide, high) in enumerate(ANCHORS):
                    t, s = (each[image, row, column, 8 * anchor : 8 * anchor + 8].tolist() for each in (taught, logits))
                    o = sigmoid(t[4])
                    total += 0.5 * (2.0 + o * (7.0 - 2.0)) * (o - sigmoid(s[4])) ** 2
                    area = min(1.0, wide * math.exp(t[2]) / 3 * high * math.exp(t[3]) / 2)
                    squares = sum((sigmoid(t[k]) - sigmoid(s[k])) ** 2 for k in (0, 1))
                    squares += sum((t[k] - s[k]) ** 2 for k in (2, 3))
                    total += o * 0.5 * 3.0 * (2 - area) * squares
                    pairs = zip(softmax(t[5:]), softmax(s[5:]), strict=True)
                    total += o * 1.5 * sum(p * math.log(p / q) for p, q in pairs)
        expected.append(total)
    options = {"object_scale": 7.0, "noobject_scale": 2.0, "coord_scale": 3.0, "class_scale": 1.5}
    np.testing.assert_allclose(value(taught, logits, ANCHORS, 3, **options), expected, rtol=1e-5)
    # And it comes back from its config.
    loss = DistillationLoss(ANCHORS, 3, **options)
    again = DistillationLoss.from_config(loss.get_config())
    assert float(again(taught, logits)) == pytest.approx(np.mean(expected), rel=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="asks TensorFlow for the gradient")
def test_no_gradient_reaches_the_teacher():
    import tensorflow as tf

    rng = np.random.default_rng(2)
    taught, logits = (tf.constant(rng.normal(0, 1, (1, 2, 2, 14)), tf.float32) for _ in range(2))
    with tf.GradientTape() as tape:
        tape.watch([taught, logits])
        loss = DistillationLoss(ANCHORS, 2)(taught, logits)
    to_teacher, to_student = tape.gradient(loss, [taught, logits])
    assert to_teacher is None and np.abs(to_student.numpy()).min() > 0


@pytest.fixture(scope="module")
def teacher(make_detector, tmp_path_factory):
    """A wider detector than the students of these tests."""
    path = tmp_path_factory.mktemp("teacher") / "wide.keras"
    make_detector(widths=(6,) * 8, image_size=(64, 96)).save(path)
    return path


def test_only_the_student_learns_and_is_saved(make_detector, teacher, tmp_path):
    wide, model = load_detector(teacher), make_detector(widths=(4,) * 8, image_size=(64, 96))
    loss = RegionLoss(model.anchors, model.num_classes)
    names, before = [each.path for each in model.variables], [each.copy() for each in model.get_weights()]
    theirs = [each.copy() for each in wide.get_weights()]
    images = np.random.default_rng(0).random((2, 64, 96, 3), np.float32)
    boxes = np.tile(np.float32([[0.3, 0.4, 0.2, 0.3, 1]]), (2, 1, 1))
    logits = model(images, training=True)
    own, far = float(loss(boxes, logits)), float(DistillationLoss(model.anchors, 5)(wide(images), logits))
    model.set_weights(before)  # the call moved batch-norm's averages

    distil(model, wide, weight=3.0)
    model.compile(keras.optimizers.SGD(1e-4), loss=loss)
    logs = model.train_on_batch(images, boxes, return_dict=True)
    assert logs["distillation"] == pytest.approx(far, rel=1e-4)
    assert logs["loss"] == pytest.approx(own + 3 * far, rel=1e-4)
    # Judged without it, which is only told.
    judged = model.evaluate(images, boxes, verbose=0, return_dict=True)
    answers = model.predict_on_batch(images)
    assert judged["loss"] == pytest.approx(float(loss(boxes, answers)), rel=1e-4)
    told = float(DistillationLoss(model.anchors, 5)(wide(images), answers))
    assert judged["distillation"] == pytest.approx(told, rel=1e-4)

    assert all((one == other).all() for one, other in zip(theirs, wide.get_weights(), strict=True))
    kernels = [index for index, each in enumerate(model.weights) if each.name == "kernel"]
    after = model.get_weights()
    assert all((before[index] != after[index]).any() for index in kernels)
    model.save(tmp_path / "student.keras")
    loaded = load_model(tmp_path / "student.keras")
    assert len(names) == len(loaded.variables) and type(loaded) is type(model)
    for one, other in zip(after, loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # Half of the teacher's weights would have shown.
    plain = make_detector(widths=(4,) * 8, image_size=(64, 96))
    plain.compile(keras.optimizers.SGD(1e-4), loss=loss)
    plain.train_on_batch(images, boxes)
    plain.save(tmp_path / "plain.keras")
    sizes = [(tmp_path / name).stat().st_size for name in ("student.keras", "plain.keras")]
    assert abs(sizes[0] - sizes[1]) < 2000 < 4 * model.count_params() / 2


def test_a_second_teacher_takes_the_place_of_the_first(make_detector, teacher):
    model = make_detector(widths=(4,) * 8, image_size=(64, 96))
    for _ in range(2):
        distil(model, load_detector(teacher))
    assert [metric.name for metric in model.metrics] == ["distillation"]


@pytest.mark.slow
def test_a_training_cut_off_ends_like_one_that_was_not(small, small_h5, teacher, tmp_path, train_leaving):
    options = {**TRAINING, "stages": (Stage("all", 2, 1e-2, warmup=0),), "monitor_every": 2, "teacher_weight": 0.5}
    options |= {"ema": 0.9, "augment": Augment(mosaic=0.5), "sizes": ("96x64", "64x64"), "sizes_every": 2}
    options |= {"accumulate": 2, "cpu_bfloat16": True, "widths": (32,) * 8, "prune": Pruning(0.5)}
    whole, cut = (small(small_h5, tmp_path / name, teacher=teacher, **options) for name in ("whole", "cut"))
    train_leaving(Trainer(whole, verbose=0), cut.out, 1)
    Trainer(cut, verbose=0).fit()
    first, second = (load_model(run.out / "last.keras").get_weights() for run in (whole, cut))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-6)
    rows = RunFolder(whole.out).metrics()
    assert all(row["distillation"] > 0 for row in rows) and rows[-1]["val_distillation"] > 0
    # The log's loss is the sum of what is in it.
    parts = ("box", "objectness", "background", "classification")
    for row in rows:
        assert row["loss"] == pytest.approx(sum(row[name] for name in parts) + 0.5 * row["distillation"], rel=1e-4)
    assert rows[-1]["val_loss"] == pytest.approx(sum(rows[-1][f"val_{name}"] for name in parts), rel=1e-4)


def test_a_head_alone_learns_from_images_where_it_has_a_teacher(small, small_h5, teacher, tmp_path, fits):
    # `fits` records what the detector's own `fit` is asked; a head on cached features is another model.
    training = TRAINING | {"stages": (Stage("head", 1, 1e-2),)}
    chosen = small(small_h5, tmp_path / "run", **training, teacher=teacher, augment=None)
    Trainer(chosen, verbose=0).fit()
    assert [call["learn"] for call in fits] == [["conv_9"]] and not (chosen.out / "features").exists()


def test_a_teacher_made_for_another_input_sees_that_of_the_student(small, small_h5, make_detector, tmp_path, capsys):
    other = make_detector(widths=(6,) * 8, image_size=(64, 64))
    other.save(tmp_path / "other.keras")
    other.at_size((64, 96)).save(tmp_path / "same.keras")
    logs = []
    for name in ("other", "same"):
        chosen = small(small_h5, tmp_path / name, **TRAINING, teacher=tmp_path / f"{name}.keras")
        Trainer(chosen, verbose=0).fit()
        logs.append([row["distillation"] for row in RunFolder(chosen.out).metrics()])
    assert logs[0] == pytest.approx(logs[1], rel=1e-5) and logs[0]
    told = [line for line in capsys.readouterr().out.splitlines() if "the teacher" in line]
    assert told == [f"note: the teacher {tmp_path / 'other.keras'} was made for 64x64 and sees 96x64"]


@pytest.mark.parametrize(
    "given, named, changes",
    [
        ({"classes": "kitti", "image_size": (64, 96)}, "classes car, van, truck", {}),
        ({"image_size": (64, 96)}, "anchors 1.3221,1.73145", {"anchors": "1,1;2,2;3,3;4,4;5,5"}),
        ({"image_size": (64, 96)}, "anchors 1.3221,1.73145", {"anchors": "1,1"}),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(small, small_h5, make_detector, tmp_path, given, named, changes):
    make_detector(**given).save(tmp_path / "wide.keras")
    chosen = small(small_h5, tmp_path / "run", **TRAINING | changes, teacher=tmp_path / "wide.keras")
    with pytest.raises(InputError) as error:
        Trainer(chosen, verbose=0).fit()
    assert f"a teacher with {named}" in str(error.value) and "wide.keras" in str(error.value)
    assert not chosen.out.exists()


def test_a_weight_of_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="teacher_weight 0; expected above 0"):
        TrainConfig(data=tmp_path / "a.h5", out=tmp_path / "run", teacher_weight=0)


@pytest.mark.parametrize("option", ["teacher", "weights"])
def test_files_that_changed_are_refused(small, small_h5, make_detector, tmp_path, fits, option):
    given = tmp_path / "given.keras"
    make_detector(widths=(4,) * 8, image_size=(64, 96)).save(given)
    chosen = small(small_h5, tmp_path / "run", **TRAINING, **{option: given})
    Trainer(chosen, verbose=0).fit()
    folder = RunFolder(chosen.out)
    folder.write_state({**folder.read_state(), "epoch": 1, "finished": False})
    make_detector(widths=(4,) * 8, image_size=(64, 96)).save(folder.path("last.keras"))
    kept = given.read_bytes()
    changed = load_model(given)
    changed.layers[-1].bias.assign(changed.layers[-1].bias + 1.0)
    changed.save(given)
    with pytest.raises(InputError, match=f"{option} .*given.keras with other contents than when"):
        Trainer(chosen, verbose=0).fit()
    assert len(fits) == 1
    given.write_bytes(kept)
    Trainer(chosen, verbose=0).fit()
    assert [(call["from"], call["to"]) for call in fits] == [(0, 3), (1, 3)]
