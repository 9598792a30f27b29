"""`Pruner`: a callback that prunes along a schedule under plain `fit`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from prune_tools import masks as by_name
from prune_tools import recalibration
from prune_tools.mask_callback import MaskCallback
from prune_tools.mask_set import Masks
from prune_tools.rewinding import Snapshot
from prune_tools.schedules import Schedule
from prune_tools.selection import AlreadyPruned
from prune_tools.targets import Layers
from run_tools.errors import InputError


class Pruner(MaskCallback):
    """Prunes when its schedule says so, holds what is pruned, logs it, and checks that it was reached.

    Put it before the callbacks that judge or save the model. The masks stay held after `fit`, in `masks`; release them
    with `pruner.masks.release(model)`.

    Args:
        schedule: of `schedules`, or any callable: step → (prune now?, sparsity).
        layers: which kernels, see `targets.kernels`.
        method: makes masks: (model, sparsity, layers=…, previous=…) → `Masks`, as those of `masks` do, also with other
            arguments set by `functools.partial`: `partial(masks.global_taylor, data=batches)`.
        per: what a step of the schedule is: "step" (a batch; with `steps_per_execution` a schedule is looked at once
            in so many) or "epoch" (pruned at its beginning).
        start: steps or epochs of the schedule that lie behind, for a `fit` that goes on with an earlier one.
        masks: those of the earlier one, which stay pruned.
        recalibrate: batches whose statistics batch-norm takes over after each pruning, or None.
        rewind: weights that come back, as far as they live, after each pruning (lottery ticket), or None.
        logdir: TensorBoard's folder, or None.

    Example:
        >>> pruner = Pruner(schedules.Cubic(final=0.9, begin=0, end=1000))
        >>> model.fit(data, epochs=20, callbacks=[pruner])

    Source of `rewind`: Frankle & Carbin (ICLR 2019), "The Lottery Ticket Hypothesis"; Renda et al. (ICLR 2020).
    """

    def __init__(
        self,
        schedule: Schedule,
        layers: Layers = None,
        method: Callable[..., Masks] = by_name.global_magnitude,
        *,
        per: str = "step",
        start: int = 0,
        masks: Masks | None = None,
        recalibrate: Any = None,
        rewind: Snapshot | None = None,
        logdir: str | os.PathLike[str] | None = None,
    ) -> None:
        if per not in ("step", "epoch"):
            raise InputError(f"per {per!r}", '"step" or "epoch"', "choose one")
        if not callable(schedule):
            raise InputError(f"schedule {schedule!r}", "a function of the step", "give one of `schedules`")
        super().__init__(masks or Masks({}), logdir)
        self.schedule = schedule
        self.layers = layers
        self.method = method
        self.per = per
        self.step = start
        self.recalibrate = recalibrate
        self.rewind = rewind
        self.history: list[tuple[int, float]] = []
        self._enough = -1.0
        self._epoch_begin = start

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Holds the masks there are already."""
        if self.masks:
            self.masks.hold(self.model)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Prunes, if an epoch is a step."""
        if self.per == "epoch":
            self._look(self.step, self.step + 1)
            self.step += 1
        self._epoch_begin = self.step

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Prunes, if a batch is a step."""
        self._advance(batch)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the batches that ran together with this one under `steps_per_execution`."""
        self._advance(batch)

    def _advance(self, batch: int) -> None:
        """Takes all steps up to this batch, each once."""
        if self.per == "step" and self._epoch_begin + batch + 1 > self.step:
            self._look(self.step, self._epoch_begin + batch + 1)
            self.step = self._epoch_begin + batch + 1

    def _look(self, first: int, end: int) -> None:
        """Prunes if the schedule wants to at one of the steps from `first` to before `end`."""
        due = None
        for step in range(first, end):
            wanted, sparsity = self._asked(step)
            if wanted:
                due = step, sparsity
        if due is not None:
            self.prune(*due)

    def _asked(self, step: int) -> tuple[bool, float]:
        """What the schedule says of a step; one of one's own may say anything."""
        answer = self.schedule(step)
        try:
            wanted, sparsity = answer
            return bool(wanted), float(sparsity) if bool(wanted) else 0.0
        except (TypeError, ValueError):
            told = f"{answer!r} of the schedule at step {step}"
            raise InputError(told, "(prune now?, sparsity)", "return two values, a truth and a number") from None

    def prune(self, step: int, sparsity: float) -> None:
        """Prunes now; nothing, if the masks at hand prune as much already.

        Which that is, the method says: of filters, or of what remains, a fraction is not one of all weights.

        Args:
            step: of the schedule, for the record.
            sparsity: fraction in 0–1.

        Raises:
            InputError: as the method, or if pruned weights are not zero afterwards.
        """
        made = self._more(sparsity)
        if made is None:
            self.history.append((step, self.masks.sparsity()))
            return
        self.masks = made
        self.masks.hold(self.model)
        if self.rewind is not None:
            self.rewind.restore(self.model)
        if self.recalibrate is not None:
            recalibration.recalibrate(self.model, self.recalibrate)
        self.check()
        self.history.append((step, self.masks.sparsity()))

    def _more(self, sparsity: float) -> Masks | None:
        """Masks that prune more than those at hand; None where the method finds nothing to add."""
        previous = self.masks or None
        if sparsity <= self._enough:  # schedules may ask for the same at every step
            return None
        try:
            made = self.method(self.model, sparsity, layers=self.layers, previous=previous)
        except AlreadyPruned:
            if previous is None or sparsity > previous.sparsity():
                raise
            made = previous
        if not isinstance(made, Masks):
            raise InputError(f"{made!r} of the method", "`Masks`", "return what a function of `masks` made")
        if previous is not None and (made := made.merge(previous)) == previous:
            self._enough = sparsity
            return None
        return made
