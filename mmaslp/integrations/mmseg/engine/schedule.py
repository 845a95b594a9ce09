"""When a run visits its images and validates: warm-up, visits, due validations."""

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmengine.runner import IterBasedTrainLoop

from ....training.levels import ENOUGH, WARMUP, Plan
from ..checks.findings import Finding


@dataclass(frozen=True)
class Schedule:
    """Schedule of a run; times are epochs or iterations, as the loop counts."""

    loop: Any
    num_images: int
    world_size: int
    warmup_epochs: float | None
    warmup_iters: float | None = None

    @property
    def by_epoch(self) -> bool:
        """bool: Whether the loop counts epochs."""
        return not isinstance(self.loop, IterBasedTrainLoop)

    @property
    def unit(self) -> int:
        """int: Iterations of one unit of time."""
        return max(1, len(self.loop.dataloader)) if self.by_epoch else 1

    @property
    def iters_per_visit(self) -> int:
        """int: Iterations in which the run visits every image about once."""
        loader = self.loop.dataloader
        batch_size = loader.batch_size
        if batch_size is None:
            batch_size = getattr(loader.batch_sampler, 'batch_size', 1)
        return -(-self.num_images // (batch_size * self.world_size))

    @property
    def warmup(self) -> float:
        """float: Iterations before the levels begin to move."""
        if self.warmup_iters is not None:
            return self.warmup_iters
        if self.warmup_epochs is None:
            return self.loop.max_iters // WARMUP
        return self.warmup_epochs * (
            self.unit if self.by_epoch else self.iters_per_visit
        )

    @property
    def visits(self) -> float:
        """float: Visits of an image between two validations at present, at least 1."""
        return max(1.0, self._interval(self._now) * self.unit / self.iters_per_visit)

    @property
    def plan(self) -> Plan:
        """Plan: When levels by band move."""
        times = [*self._validations()]
        return Plan(len(times), sum(time * self.unit < self.warmup for time in times))

    def validation_is_due(self) -> bool:
        """Whether the loop validates now; a checkpoint is written before that."""
        now = self._now
        loop = self.loop
        if loop.iter != now * self.unit:
            return False  # a checkpoint in the middle of an epoch
        due = now % self._interval(now) == 0 or now == self._end
        return now > 0 and now >= loop.val_begin and due

    def too_late(self) -> Iterator[Finding]:
        """Warn of levels that never move: they also wait for the first validation."""
        first = next(self._validations(), self._end) * self.unit
        start = max(self.warmup, first)
        if start >= self.loop.max_iters:
            yield Finding(
                'warning',
                f'the levels never move: warm-up ({self.warmup} iterations) and the '
                f'first validation end at iteration {start}, training at '
                f'{self.loop.max_iters}',
                'a lower warmup_epochs of ASLPHook, or a lower train_cfg.val_interval',
            )

    def findings(self) -> Iterator[Finding]:
        """Refuse a schedule under which levels by band cannot arrive."""
        plan = self.plan
        if plan.problem is None:
            return
        warmup = math.ceil(self.warmup / self.unit)
        left = self._end - warmup
        line = f'train_cfg.val_interval = {max(1, left // (ENOUGH + 1))}'
        if left <= ENOUGH:
            unit = 'epochs' if self.by_epoch else 'iters'
            end = warmup + ENOUGH + 1
            if self.warmup_epochs is None and self.warmup_iters is None:
                end = math.ceil(1.5 * (ENOUGH + 1))  # a third is warm-up
            line = f'train_cfg.max_{unit} = {end}, {line}'

        remedy = f'{line}  (or a lower warmup_epochs of ASLPHook)'
        yield Finding(plan.problem, str(plan), remedy)

    @property
    def _now(self) -> int:
        return self.loop.epoch if self.by_epoch else self.loop.iter

    @property
    def _end(self) -> int:
        return self.loop.max_epochs if self.by_epoch else self.loop.max_iters

    def _validations(self) -> Iterator[int]:
        """Times of the validations before the end."""
        times = range(max(self.loop.val_begin, 1), self._end)
        return (time for time in times if time % self._interval(time) == 0)

    def _interval(self, time: int) -> int:
        """Validation interval once ``time`` epochs or iterations are done."""
        step = bisect.bisect(self.loop.dynamic_milestones, time + 1)
        return self.loop.dynamic_intervals[step - 1]
