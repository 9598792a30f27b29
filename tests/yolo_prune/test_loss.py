"""`RegionLoss` and its metrics: values computed by hand, and what must hold for any boxes."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from run_tools.errors import InputError
from yolo_prune.loss import COMPONENTS, RegionLoss
from yolo_prune.metrics import RegionMetric, region_metrics

UNIT = ((1.0, 1.0),)


def zeros(grid=(1, 1), anchors=1, classes=1, batch=1):
    """A head that predicts each cell's centre, the anchors' sizes, objectness .5 and equal classes."""
    return np.zeros((batch, *grid, anchors * (5 + classes)), np.float32)


def one_image(*rows):
    return np.array([rows], np.float32)


def value(boxes, logits, anchors=UNIT, classes=1, **options):
    return keras.ops.convert_to_numpy(RegionLoss(anchors, classes, **options).call(boxes, logits))


def test_an_empty_image_is_all_background():
    # Two cells, objectness .5 each: 2 · ½ · .5² = .25.
    assert value(one_image((0, 0, 0, 0, 0)), zeros((1, 2))) == pytest.approx([0.25])
    assert value(one_image((0, 0, 0, 0, 0)), zeros((1, 2)), noobject_scale=2.0) == pytest.approx([0.5])


def test_a_perfect_box_costs_its_objectness():
    # IoU 1, objectness .5: ½ · 5 · (1 − .5)² = .625; box 0; one class costs nothing.
    assert value(one_image((0.5, 0.5, 1, 1, 0)), zeros()) == pytest.approx([0.625])


def test_a_box_off_the_prediction():
    # Truth x, y, w, h = .25 .25 .5 .5 in the one cell; prediction .5 .5 1 1.
    # box: ½ · (2 − .25) · (2 · .25² + 2 · (ln .5)²) = .875 · (.125 + .960906) = .950168
    # IoU = .25 / 1, objectness: ½ · 5 · (.25 − .5)² = .15625; sum 1.106418.
    boxes = one_image((0.25, 0.25, 0.5, 0.5, 0))
    assert value(boxes, zeros()) == pytest.approx([1.106418], abs=1e-5)
    # Unweighted box: .5 · 1.085906 = .542953. Without rescore the goal is 1: .625. Sum 1.167953.
    assert value(boxes, zeros(), box_weighting=False, rescore=False) == pytest.approx([1.167953], abs=1e-5)
    # Doubled coordinates alone: 2 · .950168 + .15625 = 2.056586.
    assert value(boxes, zeros(), coord_scale=2.0) == pytest.approx([2.056586], abs=1e-5)


def test_classes_cost_their_cross_entropy():
    # ln(e^2 + e^0 + e^0) − 2 = ln 9.389056 − 2 = .239541 for class 0, and 2.239541 for class 1; plus .625 objectness.
    logits = zeros(classes=3)
    logits[..., 5] = 2.0
    for label, cost in ((0, 0.239541), (1, 2.239541)):
        assert value(one_image((0.5, 0.5, 1, 1, label)), logits, classes=3) == pytest.approx([cost + 0.625], abs=1e-5)


def test_an_anchor_that_fits_a_true_box_is_not_taught_as_background():
    # Anchor 0 is matched (.625). Anchor 1 predicts .8 × .8 inside the truth: IoU .64 is above .6, but not above .7.
    anchors, boxes = ((1.0, 1.0), (0.8, 0.8)), one_image((0.5, 0.5, 1, 1, 0))
    assert value(boxes, zeros(anchors=2), anchors) == pytest.approx([0.625])
    assert value(boxes, zeros(anchors=2), anchors, threshold=0.7) == pytest.approx([0.75])


def test_the_prior_pulls_unmatched_anchors():
    # tx = ty = 0 predict the centre, so only tw = 2 and th = −1 cost: ½ · .01 · (4 + 1) = .025; background ½ · .5².
    logits = zeros()
    logits[..., 2:4] = (2.0, -1.0)
    assert value(one_image((0, 0, 0, 0, 0)), logits, prior_scale=0.01) == pytest.approx([0.15])
    # Where a box is matched the prior is off: the same with and without it.
    boxes = one_image((0.25, 0.25, 0.5, 0.5, 0))
    assert value(boxes, logits, prior_scale=0.01) == value(boxes, logits)


def test_predictions_mostly_inside_dont_care_are_not_background():
    # Two cells side by side; each predicts exactly its own cell and costs .125 as background.
    logits = zeros((1, 2))
    left = (0.25, 0.5, 0.5, 1.0, -1)
    assert value(one_image(left), logits) == pytest.approx([0.125])
    # A region over half of the left cell does not hold most of it; a little more does.
    assert value(one_image((0.125, 0.5, 0.25, 1.0, -1)), logits) == pytest.approx([0.25])
    assert value(one_image((0.13, 0.5, 0.26, 1.0, -1)), logits) == pytest.approx([0.125])
    # The measure is the prediction's own area, not IoU: a region over everything covers both.
    assert value(one_image((0.5, 0.5, 1.0, 1.0, -1)), logits) == pytest.approx([0.0])
    # Two regions with a third of it each do not add up.
    thirds = ((0.0833, 0.5, 0.1666, 1.0, -1), (0.25, 0.5, 0.1666, 1.0, -1))
    assert value(one_image(*thirds), logits) == pytest.approx([0.25])


def test_a_true_box_inside_dont_care_still_teaches():
    # Left cell matched perfectly: .625; right cell background: .125.
    truth, region = (0.25, 0.5, 0.5, 1.0, 0), (0.25, 0.5, 0.5, 1.0, -1)
    assert value(one_image(truth, region), zeros((1, 2))) == pytest.approx([0.75])


def test_the_later_of_two_boxes_on_one_anchor_counts():
    small, whole = (0.25, 0.25, 0.5, 0.5, 0), (0.5, 0.5, 1, 1, 0)
    assert value(one_image(small, whole), zeros()) == pytest.approx([0.625])
    assert value(one_image(whole, small), zeros()) == pytest.approx([1.106418], abs=1e-5)


def test_a_weight_multiplies_what_its_box_teaches():
    # 1.106418 as above, of which .3 is .331925; with weight 0 only the place is kept: no background, no cost.
    boxes = one_image((0.25, 0.25, 0.5, 0.5, 0))
    for weight, cost in ((1.0, 1.106418), (0.3, 0.331925), (2.0, 2.212836), (0.0, 0.0)):
        weighted = np.concatenate([boxes, np.full((1, 1, 1), weight, np.float32)], axis=-1)
        assert value(weighted, zeros()) == pytest.approx([cost], abs=1e-5)
        # How well it fits is told all the same.
        terms = RegionLoss(UNIT, 1).terms(weighted, zeros())
        assert [float(terms[name][0]) for name in ("matched", "iou_sum")] == pytest.approx([1.0, 0.25])


def test_a_centre_on_the_far_edge_belongs_to_the_last_cell():
    # x = y = 1 belong to cell 1 of 2. Its own box has the centre ¾, ¾ and sides of ½ like the truth: a quarter is
    # common, IoU ¼ / (1 + 1 − ¼) = 1/7.
    terms = RegionLoss(UNIT, 1).terms(one_image((1.0, 1.0, 0.5, 0.5, 0)), zeros((2, 2)))
    assert keras.ops.convert_to_numpy(terms["matched"]) == pytest.approx([1.0])
    assert keras.ops.convert_to_numpy(terms["iou_sum"]) == pytest.approx([1 / 7], abs=1e-5)


def test_one_value_an_image_and_their_mean():
    boxes = np.concatenate([one_image((0.5, 0.5, 1, 1, 0)), one_image((0, 0, 0, 0, 0))])
    loss = RegionLoss(UNIT, 1)
    # .625 for the perfect box, ½ · .5² = .125 for the empty image; mean .375.
    assert keras.ops.convert_to_numpy(loss.call(boxes, zeros(batch=2))) == pytest.approx([0.625, 0.125])
    assert float(loss(boxes, zeros(batch=2))) == pytest.approx(0.375)


def scattered(seed, used, unused):
    """Boxes in different cells of a 3 × 4 grid, one a row, some of them DontCare, and rows of nothing."""
    rng = np.random.default_rng(seed)
    cells = rng.permutation(12)[:used]
    rows = np.zeros((used + unused, 5), np.float32)
    rows[:used, 0] = (cells % 4 + rng.uniform(0.1, 0.9, used)) / 4
    rows[:used, 1] = (cells // 4 + rng.uniform(0.1, 0.9, used)) / 3
    rows[:used, 2:4] = rng.uniform(0.05, 0.6, (used, 2))
    rows[:used, 4] = rng.integers(-1, 3, used)
    return rows, rng.normal(0, 1, (1, 3, 4, 16)).astype(np.float32), rng


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), used=st.integers(1, 6))
def test_neither_order_nor_unused_rows_matter(seed, used):
    rows, logits, rng = scattered(seed, used, 3)
    anchors = ((0.7, 0.8), (2.0, 1.5))
    once = value(rows[None], logits, anchors, 3)
    assert value(rows[rng.permutation(len(rows))][None], logits, anchors, 3) == pytest.approx(once, rel=1e-5)
    assert value(rows[None, :used], logits, anchors, 3) == pytest.approx(once, rel=1e-5)


def test_the_components_sum_to_the_loss():
    rows, logits, _ = scattered(3, 6, 1)
    loss = RegionLoss("coco", 3, prior_scale=0.01)
    logits = np.concatenate([logits, logits, logits[..., :8]], axis=-1)
    terms = {name: float(keras.ops.sum(part)) for name, part in loss.terms(rows[None], logits).items()}
    assert min(terms[name] for name in COMPONENTS) > 0
    assert sum(terms[name] for name in COMPONENTS) == pytest.approx(float(loss(rows[None], logits)), rel=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_logits_cost_what_their_rounded_values_cost(dtype):
    rows, logits, _ = scattered(7, 5, 2)
    anchors = ((0.7, 0.8), (2.0, 1.5))
    half = keras.ops.cast(logits, dtype)
    expected = value(rows[None], keras.ops.convert_to_numpy(keras.ops.cast(half, "float32")), anchors, 3)
    loss = RegionLoss(anchors, 3)
    for found in (loss.call(rows[None], half)[0], loss(rows[None], half)):
        assert keras.backend.standardize_dtype(found.dtype) == "float32"
        assert float(found) == pytest.approx(expected[0], rel=1e-6)


@pytest.mark.parametrize(
    "boxes, logits, told",
    [
        (np.zeros((1, 2, 5)), np.zeros((1, 1, 1, 7)), "7 channels; expected 1 anchors x (5 + 1 classes) = 6"),
        (np.zeros((1, 5)), np.zeros((1, 1, 1, 6)), "(1, 5); expected (batch, max_boxes, 5)"),
        (np.zeros((1, 2, 4)), np.zeros((1, 1, 1, 6)), "(1, 2, 4); expected (batch, max_boxes, 5)"),
        (np.zeros((1, 0, 5)), np.zeros((1, 1, 1, 6)), "at least one row an image"),
        (np.zeros((1, 2, 5)), np.zeros((2, 1, 1, 6)), "boxes of 1 images and logits of 2"),
    ],
)
def test_wrong_shapes(boxes, logits, told):
    with pytest.raises(ValueError) as error:
        RegionLoss(UNIT, 1).call(boxes, logits)
    assert told in str(error.value)


def test_a_class_without_a_channel_is_not_passed_over():
    # One class, so class 1 has no channel: the feed lacks its class map.
    assert np.isnan(value(one_image((0.5, 0.5, 1, 1, 1)), zeros()))
    assert np.isfinite(value(one_image((0.5, 0.5, 1, 1, 0), (0, 0, 0, 0, 7)), zeros()))


def test_the_number_of_boxes_may_be_unknown_when_the_step_is_traced():
    tensorflow = pytest.importorskip("tensorflow")
    loss = RegionLoss(UNIT, 1)
    specs = [tensorflow.TensorSpec((None, None, 5)), tensorflow.TensorSpec((None, 1, 1, 6))]
    traced = tensorflow.function(loss.call, input_signature=specs)
    for boxes in (one_image((0.5, 0.5, 1, 1, 0)), one_image((0.25, 0.25, 0.5, 0.5, 0), (0.5, 0.5, 1, 1, 0))):
        assert traced(boxes, zeros()).numpy() == pytest.approx(value(boxes, zeros()))


@pytest.mark.parametrize("box_loss", ["squared", "ciou"])
@pytest.mark.parametrize("width, height", [(-200, -200), (-50, -40), (-200, 200), (40, 40), (0, -200)])
def test_a_head_far_off_has_a_loss_and_gradients_that_are_finite(box_loss, width, height):
    import tensorflow as tf

    logits = zeros(classes=2)
    logits[..., 2], logits[..., 3] = width, height
    logits = tf.Variable(logits)
    loss = RegionLoss(UNIT, 2, box_loss=box_loss)
    # Beside a box a row of zeros: not taught, and not to be multiplied by what is no number.
    with tf.GradientTape() as tape:
        found = loss(one_image((0.5, 0.5, 1, 0.5, 1), (0, 0, 0, 0, 0)), logits)
    assert np.isfinite(found) and np.isfinite(tape.gradient(found, logits)).all()


@pytest.mark.parametrize("anchors", ["cocoo", (), ((1.0, 0.0),), ((1.0, np.inf),), (1.0, 2.0)])
def test_wrong_anchors(anchors):
    with pytest.raises(InputError):
        RegionLoss(anchors, 1)


def test_a_loss_survives_serialisation():
    options = {"object_scale": 2.0, "noobject_scale": 3.0, "class_scale": 4.0, "coord_scale": 5.0, "threshold": 0.7}
    options |= {"rescore": False, "box_weighting": False, "prior_scale": 0.5, "box_loss": "ciou", "name": "mine"}
    loss = RegionLoss("tiny-voc", 3, **options)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is RegionLoss
    assert again.get_config() == loss.get_config()
    assert again.anchors == loss.anchors
    assert {name: getattr(again, name) for name in options} == options


def test_average_iou_and_recall_over_two_batches():
    # Batch 1: IoU 1 and IoU ¼ (the cases above). Batch 2: one image without boxes, one with IoU 1.
    # Average (1 + ¼ + 1) / 3 = .75; two of three exceed .5.
    whole, small, none = (0.5, 0.5, 1, 1, 0), (0.25, 0.25, 0.5, 0.5, 0), (0, 0, 0, 0, 0)
    loss = RegionLoss(UNIT, 1)
    metrics = {metric.name: metric for metric in region_metrics(loss)}
    for pair in ((whole, small), (none, whole)):
        for metric in metrics.values():
            metric.update_state(np.array([[row] for row in pair], np.float32), zeros(batch=2))
    found = {name: float(metric.result()) for name, metric in metrics.items()}
    assert found["average_iou"] == pytest.approx(0.75)
    assert found["recall"] == pytest.approx(2 / 3)
    # objectness: .625, .15625, nothing, .625 over four images; background: .125 in the empty one alone.
    assert found["objectness"] == pytest.approx(1.40625 / 4)
    assert found["background"] == pytest.approx(0.125 / 4)
    assert found["box"] == pytest.approx(0.950168 / 4, abs=1e-5)
    assert found["classification"] == pytest.approx(0.0)
    assert "prior" not in found
    metrics["recall"].reset_state()
    assert float(metrics["recall"].result()) == 0.0


def test_the_prior_is_a_metric_where_the_loss_has_it():
    loss = RegionLoss(UNIT, 1, prior_scale=0.01)
    assert [metric.name for metric in region_metrics(loss)] == [*COMPONENTS, "average_iou", "recall"]


def test_a_metric_survives_serialisation_and_names_its_choices():
    metric = RegionMetric(RegionLoss("voc", 2), "recall", name="found")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert (again.name, again.quantity, again.loss.anchors) == ("found", "recall", metric.loss.anchors)
    with pytest.raises(ValueError, match="accuracy.*average_iou"):
        RegionMetric(RegionLoss("voc", 2), "accuracy")


def test_metrics_of_a_model_compute_the_terms_of_a_batch_once(monkeypatch):
    loss = RegionLoss(UNIT, 1, prior_scale=0.1)
    calls, terms = [], RegionLoss.terms
    monkeypatch.setattr(RegionLoss, "terms", lambda self, *batch: calls.append(1) or terms(self, *batch))
    arrays = [(one_image((1.0, 1.0, 0.5, 0.5, 0)), zeros((2, 2))), (one_image((0.5, 1.5, 0.9, 0.4, 0)), zeros((2, 2)))]
    batches = [tuple(keras.ops.convert_to_tensor(np.array(part, "float32")) for part in pair) for pair in arrays]
    together = region_metrics(loss)
    for batch in (*batches, batches[0], batches[0]):
        for metric in together:
            metric.update_state(*batch)
    assert len(calls) == 4
    for metric in together:
        alone = RegionMetric(loss, metric.quantity)
        for batch in (*batches, batches[0], batches[0]):
            alone.update_state(*batch)
        assert float(metric.result()) == float(alone.result())


def test_an_array_that_changed_under_its_name_is_judged_anew():
    loss = RegionLoss(UNIT, 1)
    rows = np.array(one_image((1.0, 1.0, 0.5, 0.5, 0)), "float32")
    logits = np.array(zeros((2, 2)), "float32")
    first, second = region_metrics(loss)[:2]
    first.update_state(rows, logits)
    logits += 1
    second.update_state(rows, logits)
    alone = RegionMetric(loss, second.quantity)
    alone.update_state(rows, logits)
    assert float(second.result()) == float(alone.result())
