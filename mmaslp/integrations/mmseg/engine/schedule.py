"""When a run trains and validates, and whether levels can arrive in it."""

import math
from collections.abc import Iterator
from typing import Any

from mmengine.runner import IterBasedTrainLoop

from ....training.sessions import ENOUGH, WARMUP, Plan
from ..checks.findings import Finding


class Schedule:
    """Schedule of a run; times are epochs or iterations, as the loop counts.

    Attributes:
        unit (int): Iterations of one unit of time.
        end (int): Time at which the training ends.
        iters_per_visit (int): Iterations in which every image comes about once.
        warmup (float): Iterations before the levels begin to move.
        validations (list[int]): Iterations of the validations before the end.
        plan (Plan): When levels move after validations.
    """

    def __init__(
        self,
        loop: Any,
        num_images: int,
        world_size: int,
        warmup_epochs: float | None,
        warmup_iters: float | None = None,
    ) -> None:
        loader = loop.dataloader
        batch_size = loader.batch_sampler.batch_size
        self.loop = loop
        self.iters_per_visit = -(-num_images // (batch_size * world_size))
        if isinstance(loop, IterBasedTrainLoop):
            self.unit = 1
            self.end = loop.max_iters
            iters_per_epoch = self.iters_per_visit
        else:
            self.unit = max(1, len(loader))
            self.end = loop.max_epochs
            iters_per_epoch = self.unit

        self.warmup: float = loop.max_iters // WARMUP
        if warmup_iters is not None:
            self.warmup = warmup_iters
        elif warmup_epochs is not None:
            self.warmup = warmup_epochs * iters_per_epoch

        self.validations = []
        for time in range(max(loop.val_begin, 1), self.end):
            if time % loop.val_interval == 0:
                self.validations.append(time * self.unit)
        before = [time for time in self.validations if time < self.warmup]
        self.plan = Plan(len(self.validations), len(before))

    @property
    def visits(self) -> float:
        """float: Visits of an image between two validations at present, at least 1."""
        return max(1.0, self.loop.val_interval * self.unit / self.iters_per_visit)

    def validation_is_due(self) -> bool:
        """Whether the loop validates now; a checkpoint is written before that."""
        time, into_epoch = divmod(self.loop.iter, self.unit)
        due = time % self.loop.val_interval == 0 or time == self.end
        # A checkpoint may lie in the middle of an epoch, too.
        return into_epoch == 0 and due and time >= max(self.loop.val_begin, 1)

    def too_late(self) -> Iterator[Finding]:
        """Warn of levels that never move: they also wait for the first validation."""
        end = self.loop.max_iters
        start = max(self.warmup, min(self.validations, default=end))
        if start >= end:
            yield Finding(
                'warning',
                f'the levels never move: warm-up ({self.warmup:g} iterations) and the '
                f'first validation end at iteration {start:g}, training at {end}',
                'a lower warmup_epochs of ASLPHook, or a lower train_cfg.val_interval',
            )

    def findings(self) -> Iterator[Finding]:
        """Refuse a schedule with too few validations for the levels."""
        if self.plan.problem is not None:
            remedy = 'a longer training, or a lower warmup_epochs of ASLPHook'
            left = self.end - math.ceil(self.warmup / self.unit)
            interval = max(1, left // (ENOUGH + 1))
            if interval < self.loop.val_interval:
                remedy = f'train_cfg.val_interval = {interval}, {remedy}'
            yield Finding(self.plan.problem, str(self.plan), remedy)
