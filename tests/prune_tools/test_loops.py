"""The loop: held units against removed ones, against a plain loop written out, and against itself cut off."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from prune_tools import distinctiveness, holding, statistics, surgery
from prune_tools.distinctiveness import angles
from prune_tools.loops import Step, Stop, progressive
from run_tools.errors import InputError

UNITS = 7
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(64, 5)).astype(np.float32)
LABELS = (INPUTS[:, 0] + INPUTS[:, 1] > 0).astype(np.int32) + (INPUTS[:, 2] > 0)


def network(seed=0, units=UNITS):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [keras.Input((5,)), layers.Dense(units, "relu", name="hidden"), layers.Dense(3, name="logits")]
    )


def evaluate(model):
    logits = np.asarray(model(INPUTS, training=False))
    rows = np.exp(logits - logits.max(axis=1, keepdims=True))
    chance = (rows / rows.sum(axis=1, keepdims=True))[np.arange(len(LABELS)), LABELS]
    return {"val_accuracy": (logits.argmax(axis=1) == LABELS).mean(), "val_loss": -np.log(chance).mean()}


def train(model, steps):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, jit_compile=False)
    for _ in range(steps):
        model.train_on_batch(INPUTS, LABELS)


class Retrain:
    """Ten steps with a cleared optimizer; compiles a model once."""

    def __init__(self):
        self.compiled = 0
        self.model = None

    def __call__(self, model, step):
        if model is not self.model:
            self.model, self.compiled = model, self.compiled + 1
            model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            model.optimizer.build(model.trainable_variables)
        for variable in model.optimizer.variables:
            if variable is not model.optimizer._learning_rate:
                variable.assign(keras.ops.zeros_like(variable))
        for _ in range(10):
            model.train_on_batch(INPUTS, LABELS)
        return {"steps": 10}


def plain_loop(model, rule, count, how, steps, retrain=True):
    """The published loop as one would write it: a new, smaller network at every step."""
    rows = []
    for _ in range(steps):
        found = statistics.collect(model, INPUTS)
        gram = found["hidden"]
        pairs = distinctiveness.select(angles(gram.gram, gram.sums, gram.count), rule, count)
        model = surgery.remove(model, {"hidden": pairs}, how, found)
        if retrain:
            train(model, 10)
        rows.append((evaluate(model), np.asarray(model(INPUTS))))
    return rows


@pytest.mark.parametrize("how", ["delete", "incoming", "outgoing", "project", "least_squares"])
def test_held_units_are_removed_ones(how):
    model = network()
    train(model, 60)
    before = [v.numpy() for v in model.weights]
    retrain = Retrain()
    steps = progressive(
        model, INPUTS, layers="hidden", merge=how, evaluate=evaluate, retrain=retrain, stop=Stop(steps=4)
    )
    literal = plain_loop(model, "most_similar", 1, how, 4)
    np.testing.assert_allclose(steps.column("val_loss")[1:], [row["val_loss"] for row, _ in literal], rtol=2e-3)
    np.testing.assert_allclose(np.asarray(steps.model(INPUTS)), literal[-1][1], rtol=2e-2, atol=2e-3)
    # Compiled for one width alone, and the widths are real at the end.
    assert retrain.compiled == 1
    assert steps.model.get_layer("hidden").units == UNITS - 4
    assert not holding.held(steps.model)
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_rows_say_who_went():
    model = network()
    steps = progressive(model, INPUTS, layers=["hidden"], merge="delete", evaluate=evaluate)
    assert steps.removed.tolist() == list(range(UNITS))
    assert [step.units["hidden"] for step in steps] == list(range(UNITS, 0, -1))
    gone = [step.pairs["hidden"][0][0] for step in steps[1:]]
    assert len(set(gone)) == UNITS - 1
    # The unit that is left is the one that nobody removed, with its own weights.
    (left,) = set(range(UNITS)) - set(gone)
    kernel = model.get_layer("hidden").kernel.numpy()[:, [left]]
    np.testing.assert_array_equal(steps.model.get_layer("hidden").kernel.numpy(), kernel)
    # Without retraining the first choice is that of the angles.
    found = statistics.collect(model, INPUTS)["hidden"]
    first = distinctiveness.select(angles(found.gram, found.sums, found.count), "most_similar", 1)
    assert [tuple(pair) for pair in steps[1].pairs["hidden"]] == first


@pytest.mark.parametrize("every", [1, 2])
def test_cutting_between_steps_changes_nothing(every):
    model = network()
    plain = progressive(model, INPUTS, layers="hidden", rule="batch", batch=2, evaluate=evaluate, stop=Stop(units=2))
    cut = progressive(
        model, INPUTS, layers="hidden", rule="batch", batch=2, evaluate=evaluate, stop=Stop(units=2), cut_every=every
    )
    assert [step.pairs for step in cut] == [step.pairs for step in plain]
    np.testing.assert_allclose(cut.column("val_loss"), plain.column("val_loss"), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(cut.model(INPUTS)), np.asarray(plain.model(INPUTS)), atol=1e-5)


def rows(steps):
    return [Step(s.step, s.removed, s.units, s.pairs, s.metrics, s.retrained) for s in steps]


@pytest.mark.parametrize("cut_every", [None, 2])
def test_a_loop_cut_off_goes_on(tmp_path, cut_every):
    model = network()
    train(model, 40)
    common = {
        "layers": "hidden",
        "merge": "project",
        "evaluate": evaluate,
        "cut_every": cut_every,
        "stop": Stop(units=2),
    }
    whole = progressive(model, INPUTS, retrain=Retrain(), **common)
    for at in (2, 4):

        class Cut(Retrain):
            def __call__(self, model, step, at=at):
                if step == at:
                    raise KeyboardInterrupt
                return super().__call__(model, step)

        with pytest.raises(KeyboardInterrupt):
            progressive(model, INPUTS, retrain=Cut(), folder=tmp_path / "loop", **common)
    again = progressive(model, INPUTS, retrain=Retrain(), folder=tmp_path / "loop", **common)
    assert rows(again) == rows(whole)
    for one, other in zip(again.model.weights, whole.model.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    # Done: a third call neither trains nor measures.
    third = progressive(
        model, INPUTS, folder=tmp_path / "loop", **{**common, "evaluate": lambda model: pytest.fail("measured again")}
    )
    assert list(third) == list(again)
    with pytest.raises(InputError, match="another config"):
        progressive(model, INPUTS, folder=tmp_path / "loop", **{**common, "merge": "delete"})
    with pytest.raises(InputError, match="another config"):
        progressive(network(seed=1), INPUTS, folder=tmp_path / "loop", **common)


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6])
def test_a_loop_cut_off_while_it_writes_goes_on(tmp_path, monkeypatch, at):
    model, save = network(), np.savez
    common = {"layers": "hidden", "evaluate": evaluate, "stop": Stop(steps=3, fall=0.9)}
    whole = progressive(model, INPUTS, **common)
    written = []

    def until(file, **arrays):
        written.append(file)
        if len(written) == at:  # each step has two files: its number, or the one between
            raise KeyboardInterrupt
        save(file, **arrays)

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", until)
        with pytest.raises(KeyboardInterrupt):
            progressive(model, INPUTS, folder=tmp_path / "loop", **common)
    seen = []

    def counted(model):
        seen.append(model)
        return evaluate(model)

    again = progressive(model, INPUTS, folder=tmp_path / "loop", **{**common, "evaluate": counted})
    assert rows(again) == rows(whole) and again.chosen == whole.chosen
    assert len(seen) == 4 - at // 2  # a step whose weights are there is not done twice
    for one, other in zip(again.model.weights, whole.model.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_it_stops_by_validation_and_gives_the_last_good_model():
    answers = iter([0.9, 0.88, 0.6, 0.87, 0.5, 0.4, 0.3])
    steps = progressive(
        network(), INPUTS, layers="hidden", rule="random", merge="delete",
        evaluate=lambda model: {"val_accuracy": next(answers)}, stop=Stop(fall=0.05, patience=2),
    )  # fmt: skip
    # 0.6 is a fall of one step alone; 0.5 and 0.4 are two on end, and step 3 was the last one within 0.05.
    assert [step.metrics["val_accuracy"] for step in steps] == [0.9, 0.88, 0.6, 0.87, 0.5, 0.4]
    assert steps.chosen == 3
    assert steps.model.get_layer("hidden").units == UNITS - 3


def test_a_rule_of_ones_own_and_convolutions():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    x = layers.BatchNormalization()(layers.Conv2D(6, 3, use_bias=False, name="first")(image))
    x = layers.Conv2D(5, 3, name="second")(layers.ReLU()(x))
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.Flatten()(x)))
    pictures = RNG.normal(size=(8, 8, 8, 1)).astype(np.float32)

    def weakest(found, count):
        kernel = found.model.get_layer(found.layer).kernel.numpy()[..., found.living]
        assert found.gram.gram.shape == (len(found.living),) * 2
        return [(int(unit), None) for unit in np.abs(kernel).sum(axis=(0, 1, 2)).argsort()[:count]]

    steps = progressive(
        model, pictures, layers=["first", "second"], rule=weakest, batch=2, merge="project",
        evaluate=lambda model: {}, stop=Stop(steps=2),
    )  # fmt: skip
    order = np.abs(model.get_layer("first").kernel.numpy()).sum(axis=(0, 1, 2)).argsort()
    assert [pair[0] for step in steps[1:] for pair in step.pairs["first"]] == order[:4].tolist()
    assert (steps.model.get_layer("first").filters, steps.model.get_layer("second").filters) == (2, 1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rule": "most_simlar"}, "most_similar"),
        ({"merge": "adding"}, "merge rule"),
        ({"batch": 0}, "batch 0"),
        ({"layers": "logits"}, "logits"),
        ({"stop": Stop(fall=0.1, metric="accuracy")}, "metric to stop by"),
    ],
)
def test_refused(tmp_path, options, told):
    with pytest.raises(InputError, match=told):
        progressive(network(), INPUTS, **{"layers": "hidden", "evaluate": evaluate, **options})


def test_units_that_are_not_alone_are_told():
    image = keras.Input((5,))
    x = layers.LayerNormalization()(layers.Dense(6, "tanh", name="hidden")(image))
    model = keras.Model(image, layers.Dense(2, name="logits")(x))
    common = {"layers": "hidden", "merge": "delete", "evaluate": lambda model: {}, "stop": Stop(steps=2)}
    with pytest.raises(InputError, match="cut_every=1"):
        progressive(model, INPUTS, **common)
    assert progressive(model, INPUTS, cut_every=1, **common).model.get_layer("hidden").units == 4
