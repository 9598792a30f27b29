"""A small network that is trained again and again: compiled once, and an epoch is one call."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from classify_prune.draws import Epoch
from classify_prune.models import Classifier
from classify_prune.monitor import Reseed
from classify_prune.recipe import TrainConfig
from classify_prune.trainer import optimizer_of
from run_tools import cpu


class Learner:
    """Trains one network in place; each training begins with `clear`.

    A step of such a network takes about as long as Keras takes to call it, so on TensorFlow the loop over an epoch's
    steps is compiled too. What it computes are the network's own training steps.

    Args:
        model: compiled here.
        config: optimizer, rate and seed.

    Attributes:
        model: the same.
    """

    def __init__(self, model: Classifier, config: TrainConfig) -> None:
        self.model = model
        keras.utils.set_random_seed(config.seed)
        model.compile(
            optimizer_of(config, 1),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            # XLA's convolutions are slow on CPUs.
            jit_compile=False if cpu.on_cpu() else "auto",
        )
        model.optimizer.build(model.trainable_variables)
        self._reseed = Reseed(config.seed)
        self._reseed.set_model(model)
        compiled: tuple[Any, Any] = _compiled(model) if keras.backend.backend() == "tensorflow" else (None, None)
        self._run, self._say = compiled

    def clear(self) -> None:
        """Gives the optimizer the state of a new one."""
        optimizer: Any = self.model.optimizer
        for variable in optimizer.variables:
            if variable is not optimizer._learning_rate:
                variable.assign(keras.ops.zeros_like(variable))

    def epoch(self, number: int, drawn: Epoch) -> float:
        """One pass.

        Args:
            number: of the epoch, which what is dropped out depends on.
            drawn: what it learns from.

        Returns:
            The mean loss.
        """
        self._reseed.on_epoch_begin(number)
        if self._run is not None:
            self.model.reset_metrics()
            return float(self._run(drawn.inputs, drawn.labels, drawn.order))
        return self.step_by_step(drawn)

    def step_by_step(self, drawn: Epoch) -> float:
        """The same by one call a step; returns the mean loss."""
        inputs, labels = (keras.ops.convert_to_numpy(each) for each in (drawn.inputs, drawn.labels))
        return float(np.mean([float(self.model.train_on_batch(inputs[rows], labels[rows])) for rows in drawn.order]))

    def logits(self, inputs: Any) -> np.ndarray:
        """What the network says of some inputs, all in one pass; float32, (n, classes)."""
        if self._say is None:
            return np.asarray(self.model.predict_on_batch(inputs))
        return self._say(inputs).numpy()


def _compiled(model: Classifier) -> tuple[Any, Any]:
    """From inputs, labels and order to the mean loss of the steps, and from inputs to logits."""
    import tensorflow as tf

    step = tf.function(model.train_step, jit_compile=True, autograph=False) if model.jit_compile else model.train_step

    @tf.function(autograph=False, reduce_retracing=True)
    def run(inputs: Any, labels: Any, order: Any) -> Any:
        def body(index: Any, _: Any) -> tuple[Any, Any]:
            rows = order[index]
            return index + 1, step((tf.gather(inputs, rows), tf.gather(labels, rows)))["loss"]

        # The loss that a step returns is the mean since the metrics were reset.
        start = tf.constant(0), tf.constant(0.0)
        return tf.while_loop(lambda index, _: index < tf.shape(order)[0], body, start)[1]

    @tf.function(autograph=False, reduce_retracing=True)
    def say(inputs: Any) -> Any:
        return model(inputs, training=False)

    return run, say
