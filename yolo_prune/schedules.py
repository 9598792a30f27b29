"""Learning rates over the steps of a stage: constant, cosine, and darknet's."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from yolo_prune.recipe import Stage, check_steps

FINAL_RATE = 0.01
"""Where the cosine ends, as a fraction of the stage's learning rate."""


@keras.saving.register_keras_serializable(package="yolo_prune")
class DarknetSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Burn-in, then a constant rate that is scaled down at some steps.

    darknet counts batches from 1, Keras from 0: the first step has the rate (1 / burn_in)^power, not 0.

    Args:
        learning_rate: after the burn-in and before the first step of `steps`, above 0.
        burn_in: steps of rate · (batch / burn_in)^power; 0 for none.
        steps: batch numbers in order, from each of which on the rate is multiplied by its scale.
        scales: one factor above 0 for each of `steps`.
        power: exponent of the burn-in.

    Raises:
        InputError: for steps out of order, or not one scale a step.

    Source: darknet `network.c`, `get_current_rate`, with the policy `steps`.
    """

    def __init__(
        self,
        learning_rate: float,
        burn_in: int = 1000,
        steps: Sequence[int] = (),
        scales: Sequence[float] = (),
        power: float = 4.0,
    ):
        super().__init__()
        check_steps(steps, scales)
        self.learning_rate = learning_rate
        self.burn_in = burn_in
        self.steps = tuple(steps)
        self.scales = tuple(scales)
        self.power = power

    def __call__(self, step):
        """The learning rate of the step, counted from 0: a float32 scalar."""
        batch = ops.cast(step, "float32") + 1.0
        factor = ops.ones_like(batch)
        for start, scale in zip(self.steps, self.scales, strict=True):
            factor = factor * ops.where(batch >= start, scale, 1.0)
        if self.burn_in:
            factor = ops.where(batch < self.burn_in, (batch / self.burn_in) ** self.power, factor)
        return self.learning_rate * factor

    def get_config(self) -> dict[str, Any]:
        """Every argument, for saved models."""
        names = ("learning_rate", "burn_in", "steps", "scales", "power")
        return {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable(package="yolo_prune")
class PerUpdate(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule over updates, for an optimizer that accumulates gradients: Keras's count every batch.

    Args:
        schedule: the learning rate of each update.
        batches: of one update, at least 1.
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, batches: int):
        super().__init__()
        self.schedule = schedule
        self.batches = batches

    def __call__(self, step):
        """The learning rate of the update that batch `step`, counted from 0, belongs to."""
        return self.schedule(ops.floor_divide(step, self.batches))

    def get_config(self) -> dict[str, Any]:
        """Both arguments, for saved models."""
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "batches": self.batches}

    @classmethod
    def from_config(cls, config):
        """The schedule of a `get_config`."""
        return cls(**{**config, "schedule": keras.saving.deserialize_keras_object(config["schedule"])})


def schedule_of(stage: Stage, updates: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate of a stage.

    Args:
        stage: what was asked for.
        updates: optimizer steps of the whole stage; its `steps` below 1 are fractions of these.

    Returns:
        A schedule over the optimizer's steps, or a number.
    """
    # A warm-up longer than the stage would leave it without its learning rate.
    rate, warmup = stage.learning_rate, min(stage.warmup, updates // 2)
    if stage.schedule == "darknet":
        steps = [max(1, round(step * updates)) if step < 1 else int(step) for step in stage.steps]
        return DarknetSchedule(rate, warmup, steps, stage.scales)
    if stage.schedule == "cosine":
        begin = {"initial_learning_rate": 0.0, "warmup_target": rate, "warmup_steps": warmup} if warmup else {}
        options: dict[str, Any] = {"initial_learning_rate": rate, "alpha": FINAL_RATE, **begin}
        return keras.optimizers.schedules.CosineDecay(decay_steps=max(1, updates - warmup), **options)
    return rate
