"""When a training loop validates."""

import bisect
from typing import Any

from mmengine.runner import IterBasedTrainLoop

__all__ = [
    'first_validation',
    'is_validation_due',
    'validation_interval',
]


def first_validation(loop: Any, iters_per_epoch: int) -> int:
    """Iteration after which the first validation runs (the last one at the latest)."""
    by_iter = isinstance(loop, IterBasedTrainLoop)
    end = loop.max_iters if by_iter else loop.max_epochs
    start = max(loop.val_begin, 1)
    first = next((t for t in range(start, end) if t % interval_at(loop, t) == 0), end)
    return first if by_iter else first * iters_per_epoch


def interval_at(loop: Any, time: int) -> int:
    """Validation interval of a loop once ``time`` epochs or iterations are done."""
    step = bisect.bisect(loop.dynamic_milestones, time + 1)
    return loop.dynamic_intervals[step - 1]


def is_validation_due(loop: Any) -> bool:
    """Whether the loop validates right at its present epoch or iteration.

    A checkpoint is written before the validation of the same moment, so a run resumed
    from it has that validation still before it.
    """
    by_iter = isinstance(loop, IterBasedTrainLoop)
    now, end = _now(loop), loop.max_iters if by_iter else loop.max_epochs
    if not by_iter and loop.iter != loop.epoch * len(loop.dataloader):
        return False  # a checkpoint from within an epoch
    last = now % interval_at(loop, now) == 0 or now == end
    return now > 0 and now >= loop.val_begin and last


def validation_interval(loop: Any) -> int:
    """Present validation interval, in epochs or iterations as the loop counts."""
    return interval_at(loop, _now(loop))


def _now(loop: Any) -> int:
    return loop.iter if isinstance(loop, IterBasedTrainLoop) else loop.epoch
