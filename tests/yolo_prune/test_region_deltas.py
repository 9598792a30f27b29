"""The region loss against darknet's region layer, written out literally: its gradients are the layer's deltas.

Rules 1–6 of darknet's `forward_region_layer`, and the mask of DontCare regions, which is ours.
"""

import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yolo_prune.loss import RegionLoss

ROOT = Path(__file__).resolve().parents[2]
DEFAULTS = {
    "object_scale": 5.0,
    "noobject_scale": 1.0,
    "class_scale": 1.0,
    "coord_scale": 1.0,
    "threshold": 0.6,
    "rescore": True,
    "box_weighting": True,
    "prior_scale": 0.0,
}


def sigmoid(value):
    return 1.0 / (1.0 + math.exp(-value))


def softmax(values):
    powers = [math.exp(value - max(values)) for value in values]
    return [power / sum(powers) for power in powers]


def overlap(a, b):
    """Intersection of two cx, cy, w, h boxes."""
    sides = [
        min(a[k] + a[k + 2] / 2, b[k] + b[k + 2] / 2) - max(a[k] - a[k + 2] / 2, b[k] - b[k + 2] / 2) for k in (0, 1)
    ]
    return sides[0] * sides[1] if min(sides) > 0 else 0.0


def iou(a, b):
    common = overlap(a, b)
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def image_deltas(boxes, head, anchors, options):
    """One image: deltas with respect to the raw head, (gh, gw, anchors, 5 + classes), and the loss.

    Each entry of the arrays `delta` and `cost` is overwritten by a later rule, as in darknet.
    """
    gh, gw, count, channels = head.shape
    delta, cost = np.zeros(head.shape), np.zeros((gh, gw, count, 3))  # cost: box, objectness, class
    used = [box for box in boxes if box[2] > 0]
    true, regions = [box for box in used if box[4] >= 0], [box for box in used if box[4] < 0]

    def predicted(j, i, n):
        t = head[j, i, n]
        return (
            (i + sigmoid(t[0])) / gw,
            (j + sigmoid(t[1])) / gh,
            anchors[n][0] * math.exp(t[2]) / gw,
            anchors[n][1] * math.exp(t[3]) / gh,
        )

    def teach_box(j, i, n, target, scale):
        t = head[j, i, n]
        errors = [target[0] - sigmoid(t[0]), target[1] - sigmoid(t[1]), target[2] - t[2], target[3] - t[3]]
        delta[j, i, n, :4] = [scale * error for error in errors]
        cost[j, i, n, 0] = 0.5 * scale * sum(error**2 for error in errors)

    for j in range(gh):
        for i in range(gw):
            for n in range(count):
                box, o = predicted(j, i, n), sigmoid(head[j, i, n, 4])
                # 1: no object here, unless the prediction fits some true box; DontCare: or lies mostly in a region
                fits = any(iou(box, truth) > options["threshold"] for truth in true)
                inside = any(overlap(box, region) > 0.5 * box[2] * box[3] for region in regions)
                if not fits and not inside:
                    delta[j, i, n, 4] = options["noobject_scale"] * (0 - o)
                    cost[j, i, n, 1] = 0.5 * options["noobject_scale"] * o**2
                # 2: the prior, the cell's centre and the anchor's size
                teach_box(j, i, n, (0.5, 0.5, 0.0, 0.0), options["prior_scale"])

    for x, y, w, h, label, *weights in true:
        share = weights[0] if weights else 1.0  # ours: of what this true box teaches; darknet has none
        # 3: the cell of the centre, the anchor of best size, the first of equals
        i, j = int(x * gw), int(y * gh)
        sizes = [iou((0, 0, w * gw, h * gh), (0, 0, *anchor)) for anchor in anchors]
        n = sizes.index(max(sizes))
        weight = 2 - w * h if options["box_weighting"] else 1.0
        target = (x * gw - i, y * gh - j, math.log(w * gw / anchors[n][0]), math.log(h * gh / anchors[n][1]))
        teach_box(j, i, n, target, share * options["coord_scale"] * weight)
        # 4: its objectness
        o = sigmoid(head[j, i, n, 4])
        wanted = iou(predicted(j, i, n), (x, y, w, h)) if options["rescore"] else 1.0
        delta[j, i, n, 4] = share * options["object_scale"] * (wanted - o)
        cost[j, i, n, 1] = share * 0.5 * options["object_scale"] * (wanted - o) ** 2
        # 5: its class; all of it overwrites what an earlier true box left in this place
        chances = softmax(head[j, i, n, 5:])
        for k in range(channels - 5):
            delta[j, i, n, 5 + k] = share * options["class_scale"] * ((1.0 if k == int(label) else 0.0) - chances[k])
        cost[j, i, n, 2] = -share * options["class_scale"] * math.log(chances[int(label)])

    # 6: through the sigmoid
    for k in (0, 1, 4):
        activation = 1.0 / (1.0 + np.exp(-head[..., k]))
        delta[..., k] *= activation * (1.0 - activation)
    return delta, float(cost.sum())


def literal(boxes, logits, anchors, classes, **options):
    """Deltas of a batch with the shape of `logits`, and the loss of each image, float64."""
    head = np.asarray(logits, np.float64).reshape(*logits.shape[:3], len(anchors), 5 + classes)
    results = [
        image_deltas(np.asarray(boxes[b], np.float64), head[b], anchors, {**DEFAULTS, **options})
        for b in range(len(head))
    ]
    return np.stack([delta for delta, _ in results]).reshape(logits.shape), np.array([cost for _, cost in results])


def random_case(seed, batch, grid, count, classes, twins):
    """True boxes, logits and anchors; `twins` makes two anchors equal.

    Some rows are unused, some DontCare, many share a cell; all anchors in the first box's cell predict about that box.
    """
    rng = np.random.default_rng(seed)
    anchors = [tuple(pair) for pair in np.exp(rng.uniform(-0.7, 1.0, (count, 2)))]
    if twins:
        anchors = [anchors[0], *anchors]
    rows = 7
    boxes = np.zeros((batch, rows, 5), np.float32)
    boxes[..., :2] = rng.uniform(0.01, 0.99, (batch, rows, 2))
    boxes[..., 2:4] = rng.uniform(0.05, 0.9, (batch, rows, 2))
    boxes[..., 4] = rng.integers(-1, classes, (batch, rows))
    boxes[rng.random((batch, rows)) < 0.2] = 0.0
    head = rng.normal(0.0, 1.0, (batch, *grid, len(anchors), 5 + classes))
    for b, (x, y, w, h, _) in enumerate(boxes[:, 0]):
        i, j = int(x * grid[1]), int(y * grid[0])
        for n, (pw, ph) in enumerate(anchors if w > 0 else ()):
            inside = np.clip((x * grid[1] - i, y * grid[0] - j), 0.01, 0.99)
            head[b, j, i, n, :2] = np.log(inside / (1 - inside))
            head[b, j, i, n, 2:4] = np.log((w * grid[1] / pw, h * grid[0] / ph)) + rng.normal(0.0, 0.1, 2)
    return boxes, head.reshape(batch, *grid, -1).astype(np.float32), anchors


def gradients(loss, boxes, logits):
    """Gradient of the images' summed losses, so of each image's own; and these losses."""
    import tensorflow as tf

    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        values = loss.call(tf.constant(boxes), variable)
    return tape.gradient(values, variable).numpy(), values.numpy()


def agree(seed, batch, grid, count, classes, twins, options, weighted=False):
    boxes, logits, anchors = random_case(seed, batch, grid, count, classes, twins)
    if weighted:
        weights = np.random.default_rng(seed).choice([0.0, 0.3, 1.0, 2.5], (*boxes.shape[:2], 1))
        boxes = np.concatenate([boxes, weights], axis=-1).astype(np.float32)
    delta, cost = literal(boxes, logits, anchors, classes, **options)
    gradient, value = gradients(RegionLoss(anchors, classes, **options), boxes, logits)
    np.testing.assert_allclose(gradient, -delta, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(value, cost, rtol=1e-5, atol=1e-5)


SIDES = st.integers(1, 4)
OPTIONS = st.fixed_dictionaries(
    {
        "rescore": st.booleans(),
        "box_weighting": st.booleans(),
        "prior_scale": st.sampled_from((0.0, 0.01, 0.7)),
        "threshold": st.sampled_from((0.6, 0.25)),
        "object_scale": st.sampled_from((5.0, 1.5)),
        "noobject_scale": st.sampled_from((1.0, 0.5)),
        "class_scale": st.sampled_from((1.0, 2.0)),
        "coord_scale": st.sampled_from((1.0, 3.0)),
    }
)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes gradients with TensorFlow's tape")
@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 3),
    grid=st.tuples(SIDES, SIDES),
    count=st.integers(1, 3),
    classes=st.integers(1, 4),
    twins=st.booleans(),
    options=OPTIONS,
    weighted=st.booleans(),
)
def test_gradients_are_the_deltas_of_darknet(seed, batch, grid, count, classes, twins, options, weighted):
    agree(seed, batch, grid, count, classes, twins, options, weighted)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes gradients with TensorFlow's tape")
def test_the_mean_over_the_images_times_their_number():
    import tensorflow as tf

    boxes, logits, anchors = random_case(5, 3, (3, 2), 2, 3, False)
    variable, loss = tf.Variable(logits), RegionLoss(anchors, 3)
    with tf.GradientTape() as tape:
        value = loss(boxes, variable)
    delta, cost = literal(boxes, logits, anchors, 3)
    np.testing.assert_allclose(3 * tape.gradient(value, variable).numpy(), -delta, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(value, cost.mean(), rtol=1e-5)


def test_the_random_cases_hold_every_rule():
    # A comparison proves nothing about a rule that no case reaches.
    seen = dict.fromkeys(("collision", "fits", "inside", "unused"), 0)
    for seed in range(20):
        boxes, logits, anchors = random_case(seed, 1, (2, 3), 2, 3, False)
        used = boxes[0][boxes[0][:, 2] > 0].astype(float)
        true = used[used[:, 4] >= 0]
        seen["unused"] += len(used) < 7
        cells = [(int(x * 3), int(y * 2)) for x, y in true[:, :2]]
        seen["collision"] += len(set(cells)) < len(cells)
        plain = literal(boxes, logits, anchors, 3)[0].reshape(-1, 8)[:, 4]
        seen["fits"] += bool((plain != literal(boxes, logits, anchors, 3, threshold=2.0)[0].reshape(-1, 8)[:, 4]).any())
        without = np.where(boxes[..., 4:] < 0, 0, boxes)
        seen["inside"] += bool((plain != literal(without, logits, anchors, 3)[0].reshape(-1, 8)[:, 4]).any())
    assert min(seen.values()) >= 5, seen


JAX_SCRIPT = """
import sys
import jax, keras, numpy as np
from yolo_prune.loss import RegionLoss
assert keras.backend.backend() == "jax"
case = np.load(sys.argv[1])
for name, options in (("a", {}), ("b", dict(rescore=False, box_weighting=False, prior_scale=0.01))):
    loss = RegionLoss(case["anchors"], 3, **options)
    mean = jax.jit(lambda logits: loss(case["boxes"], logits))
    gradient = len(case["logits"]) * np.asarray(jax.grad(mean)(case["logits"]))
    np.testing.assert_allclose(gradient, -case["delta_" + name], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss.call(case["boxes"], case["logits"]), case["cost_" + name], rtol=1e-5, atol=1e-5)
print("agrees")
"""


@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_on_jax_the_same_numbers(tmp_path):
    boxes, logits, anchors = random_case(11, 3, (2, 4), 3, 3, True)
    arrays = {"boxes": boxes, "logits": logits, "anchors": np.array(anchors)}
    for name, options in (("a", {}), ("b", {"rescore": False, "box_weighting": False, "prior_scale": 0.01})):
        arrays["delta_" + name], arrays["cost_" + name] = literal(boxes, logits, anchors, 3, **options)
    np.savez(tmp_path / "case.npz", **arrays)
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    command = [sys.executable, "-c", JAX_SCRIPT, str(tmp_path / "case.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "agrees", done.stderr[-2000:]
