"""Where the hook finds the accuracy of the last validation, and when one is due."""

import bisect
from typing import Any

from mmengine.runner import IterBasedTrainLoop

from ...evaluation.metrics import CalibrationMetric

__all__ = [
    'figure_keys',
    'first_validation',
    'is_validation_due',
    'validation_interval',
]

_ADD = (
    "val_evaluator = [dict(type='CalibrationMetric'), dict(type='IoUMetric', "
    "iou_metrics=['mIoU'])]"
)


def figure_keys(runner: Any, accuracy_key: str | None) -> dict[str, str]:
    """Names under which a validation reports what the rules need.

    Args:
        runner (Any): The runner, with its loops built.
        accuracy_key (str, optional): Name given by the user.

    Returns:
        dict[str, str]: Key by ``'accuracy'``, ``'confidence'`` (the mean one) and
        ``'median_gap'``; the first alone for an accuracy of another metric.

    Raises:
        ValueError: If there is no validation, or no metric that gives an accuracy.
    """
    if runner.val_loop is None:
        raise ValueError(
            'the rule of ASLPHook needs the accuracy on a validation set, but the '
            'config has no val_dataloader / val_cfg / val_evaluator: add them, with '
            f"{_ADD}, or use rule='fixed'"
        )
    if accuracy_key is not None:
        return {'accuracy': accuracy_key}
    for metric in runner.val_loop.evaluator.metrics:
        if (
            isinstance(metric, CalibrationMetric)
            and metric.mode == 'top_label'
            and metric.protocol == 'raw'
        ):
            prefix = f'{metric.prefix}/' if metric.prefix else ''
            return {
                'accuracy': f'{prefix}acc',
                'confidence': f'{prefix}conf',
                'median_gap': f'{prefix}median_gap',
            }
    names = [_describe(m) for m in runner.val_loop.evaluator.metrics]
    raise ValueError(
        'the rule of ASLPHook needs the pixel accuracy of the validation, which none '
        f"of the val_evaluator's metrics {names} gives: set {_ADD}"
    )


def _describe(metric: Any) -> str:
    name = type(metric).__name__
    if not isinstance(metric, CalibrationMetric):
        return name
    return f'{name}(mode={metric.mode!r}, protocol={metric.protocol!r})'


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
