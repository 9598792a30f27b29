"""The optimizer of a stage."""

from typing import Any

import keras

from yolo_prune.recipe import Stage, TrainConfig
from yolo_prune.schedules import PerUpdate, schedule_of


def optimizer_of(config: TrainConfig, stage: Stage, batches: int) -> keras.optimizers.Optimizer:
    """A new optimizer.

    With `accumulate` k the gradients of k batches are averaged and make one step, as those of one batch k times as
    large would; clipping, decay, schedules and warm-up count such steps. Batches left over at the end of an epoch go
    on in the next one. Only batch-norms still see the small batches, and the averages of the weights trail: they go a
    k-th of the way with each batch of the next step, and have gone it when that is due.

    Args:
        config: which one, and its clipping, decay and averages.
        stage: the learning rate.
        batches: batches of the whole stage.

    Returns:
        The optimizer, which decays kernels alone.
    """
    rate = schedule_of(stage, max(1, batches // config.accumulate))
    if config.accumulate > 1 and isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        rate = PerUpdate(rate, config.accumulate)
    common: dict[str, Any] = {"global_clipnorm": config.clip_norm, "weight_decay": config.weight_decay or None}
    if config.accumulate > 1:
        common["gradient_accumulation_steps"] = config.accumulate
    if config.ema:
        # Keras moves the averages at every batch, steps or none.
        common |= {"use_ema": True, "ema_momentum": config.ema ** (1 / config.accumulate)}
    if config.optimizer == "sgd":
        optimizer: keras.optimizers.Optimizer = keras.optimizers.SGD(rate, momentum=0.9, **common)
    else:
        optimizer = keras.optimizers.Adam(rate, **common)
    if config.weight_decay:
        # Decay of scales and offsets would pull batch-norms towards switching their channels off.
        optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return optimizer
