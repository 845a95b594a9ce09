"""Where the hook finds the accuracy of the last validation, and when one is due."""

import bisect
from typing import Any

from mmengine.runner import IterBasedTrainLoop

from ...evaluation.metrics import CalibrationMetric

__all__ = ['accuracy_keys', 'first_validation', 'is_validation_due']

_ADD = (
    "val_evaluator = [dict(type='CalibrationMetric'), dict(type='IoUMetric', "
    "iou_metrics=['mIoU'])]"
)


def accuracy_keys(runner: Any, accuracy_key: str | None) -> tuple[str, str | None]:
    """Names under which a validation reports accuracy and mean confidence.

    Args:
        runner (Any): The runner, with its loops built.
        accuracy_key (str, optional): Name given by the user.

    Returns:
        tuple[str, str | None]: Keys of accuracy and of confidence; the latter is None
        for an accuracy of another metric.

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
        return accuracy_key, None
    for metric in runner.val_loop.evaluator.metrics:
        if isinstance(metric, CalibrationMetric):
            prefix = f'{metric.prefix}/' if metric.prefix else ''
            return f'{prefix}acc', f'{prefix}conf'
    names = [type(m).__name__ for m in runner.val_loop.evaluator.metrics]
    raise ValueError(
        'the rule of ASLPHook needs the pixel accuracy of the validation, which none '
        f"of the val_evaluator's metrics {names} gives: set {_ADD}"
    )


def first_validation(loop: Any, iters_per_epoch: int) -> int:
    """Iteration after which the first validation runs (the last one at the latest)."""
    by_iter = isinstance(loop, IterBasedTrainLoop)
    interval, end = loop.val_interval, loop.max_iters if by_iter else loop.max_epochs
    first = -(-max(loop.val_begin, 1) // interval) * interval
    first = min(first, end)
    return first if by_iter else first * iters_per_epoch


def is_validation_due(loop: Any) -> bool:
    """Whether the loop validates right at its present epoch or iteration.

    A checkpoint is written before the validation of the same moment, so a run resumed
    from it has that validation still before it.
    """
    by_iter = isinstance(loop, IterBasedTrainLoop)
    now, end = (loop.iter, loop.max_iters) if by_iter else (loop.epoch, loop.max_epochs)
    step = bisect.bisect(loop.dynamic_milestones, now + 1)
    interval = loop.dynamic_intervals[step - 1]
    return now > 0 and now >= loop.val_begin and (now % interval == 0 or now == end)
