"""When a run visits its images and validates: warm-up, visits, due validations."""

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mmengine.runner import IterBasedTrainLoop

from ..checks.findings import Finding

__all__ = ['Schedule', 'is_validation_due']

# Validations after the warm-up: with fewer than the least, levels by band get nowhere.
LEAST, ENOUGH = 5, 20


@dataclass(frozen=True)
class Schedule:
    """What the hook must know about the schedule of a run."""

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
    def iters_per_visit(self) -> int:
        """int: Iterations in which the run visits every image about once.

        The length of the dataset does not say this: ``RepeatDataset`` multiplies it.
        The length of the dataloader does not either: an infinite sampler gives the
        whole set to every process.
        """
        loader = self.loop.dataloader
        batch_size = loader.batch_size
        if batch_size is None:
            batch_size = getattr(loader.batch_sampler, 'batch_size', 1)
        return -(-self.num_images // (batch_size * self.world_size))

    @property
    def iters_per_epoch(self) -> int:
        """int: Iterations of an epoch; under iteration loops, of a visit."""
        return len(self.loop.dataloader) if self.by_epoch else self.iters_per_visit

    @property
    def warmup(self) -> float:
        """float: Iterations before the levels begin to move."""
        if self.warmup_iters is not None:
            return self.warmup_iters
        if self.warmup_epochs is None:
            return self.loop.max_iters // 3
        return self.warmup_epochs * self.iters_per_epoch

    @property
    def visits(self) -> float:
        """float: Visits of an image between two validations at present, at least 1.

        With less than one visit, the visited images take the whole step.
        """
        length = self.iters_per_epoch if self.by_epoch else 1
        interval = _interval_at(self.loop, _now(self.loop))
        return max(1.0, interval * (length / self.iters_per_visit))

    @property
    def validations_of_warmup(self) -> int:
        """int: Validations that come before the warm-up has ended."""
        length = self.iters_per_epoch if self.by_epoch else 1
        times = [*self._validations(), _end(self.loop)]
        return sum(time * length < self.warmup for time in times)

    def late_start(self) -> str | None:
        """Say when the levels begin to move, if later than the warm-up ends.

        They also wait for the first validation. They never move if training ends
        before.
        """
        start = max(self.warmup, self._first_validation())
        if start >= self.loop.max_iters:
            return (
                f'the levels never move: warm-up ({self.warmup} iterations) and the '
                f'first validation end at iteration {start}, training at '
                f'{self.loop.max_iters}; lower warmup_epochs or val_interval'
            )
        if start > self.warmup:
            return (
                f'warm-up ends at iteration {self.warmup}, but the levels begin to '
                f'move after the first validation, at iteration {start}'
            )
        return None

    def too_few_validations(self) -> Finding | None:
        """Refuse a schedule under which levels by band cannot arrive.

        They move after validations only, and that at the end moves them in vain.
        """
        length, end = self.iters_per_epoch if self.by_epoch else 1, _end(self.loop)
        steps = sum(time * length >= self.warmup for time in self._validations())
        if steps >= ENOUGH:
            return None
        warmup = math.ceil(self.warmup / length)
        line = f'train_cfg.val_interval = {max(1, (end - warmup) // (ENOUGH + 1))}'
        if end - warmup <= ENOUGH:
            unit = 'epochs' if self.by_epoch else 'iters'
            line = f'train_cfg.max_{unit} = {warmup + ENOUGH + 1}, {line}'
        return Finding(
            'error' if steps < LEAST else 'warning',
            f'levels by band move after validations only: {steps} lie between the end '
            'of the warm-up and that of the training, and the levels take about '
            f'{ENOUGH} to arrive',
            f'{line}  (or a lower warmup_epochs of ASLPHook)',
        )

    def _validations(self) -> Iterator[int]:
        """Epochs or iterations of the validations before the end."""
        loop = self.loop
        times = range(max(loop.val_begin, 1), _end(loop))
        return (t for t in times if t % _interval_at(loop, t) == 0)

    def _first_validation(self) -> int:
        """Iteration of the first validation, at the latest the last iteration."""
        first = next(self._validations(), _end(self.loop))
        return first * self.iters_per_epoch if self.by_epoch else first


def is_validation_due(loop: Any) -> bool:
    """Whether the loop validates at its present epoch or iteration.

    A checkpoint is written before the validation of the same moment. So a run resumed
    from it still has to do that validation.
    """
    by_iter = isinstance(loop, IterBasedTrainLoop)
    if not by_iter and loop.iter != loop.epoch * len(loop.dataloader):
        return False  # a checkpoint in the middle of an epoch
    now = _now(loop)
    last = now % _interval_at(loop, now) == 0 or now == _end(loop)
    return now > 0 and now >= loop.val_begin and last


def _interval_at(loop: Any, time: int) -> int:
    """Validation interval of a loop once ``time`` epochs or iterations are done."""
    step = bisect.bisect(loop.dynamic_milestones, time + 1)
    return loop.dynamic_intervals[step - 1]


def _now(loop: Any) -> int:
    return loop.iter if isinstance(loop, IterBasedTrainLoop) else loop.epoch


def _end(loop: Any) -> int:
    return loop.max_iters if isinstance(loop, IterBasedTrainLoop) else loop.max_epochs
