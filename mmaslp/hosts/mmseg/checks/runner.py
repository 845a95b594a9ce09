"""Checks of the losses and metrics of a run with levels."""

from collections.abc import Sequence
from typing import Any

from .findings import Finding
from .perturbation import different_strengths, no_loss
from .validation import (
    LOOP_KEYS,
    metric_of,
    no_accuracy,
    no_confidence,
    no_validation,
)

__all__ = ['check_losses', 'metric_keys']


def check_losses(losses: Sequence[Any]) -> float:
    """Refuse losses that cannot share one level per image.

    Args:
        losses (Sequence[Any]): Every SCBCELoss of the model.

    Returns:
        float: Their strength beta, in (0, 2].

    Raises:
        ValueError: If there is no SCBCELoss, or they have different strengths.
    """
    _raise(no_loss(len(losses)))
    strengths = [loss.perturbation.beta for loss in losses]
    _raise(different_strengths(strengths))
    return strengths[0]


def metric_keys(
    runner: Any, accuracy_key: str | None, needs_confidence: bool
) -> dict[str, str]:
    """Names under which a validation reports the values that a rule needs.

    Args:
        runner (Any): The runner, with its loops built.
        accuracy_key (str, optional): Name given by the user.
        needs_confidence (bool): Whether the rule needs the confidence besides the
            accuracy.

    Returns:
        dict[str, str]: Key by ``'accuracy'``, ``'confidence'`` (the mean one) and
        ``'median_gap'``; the first alone for an accuracy of another metric.

    Raises:
        ValueError: If there is no validation, no metric that gives an accuracy, or no
            confidence although the rule needs one.
    """
    _raise(no_validation(LOOP_KEYS if runner.val_loop is None else ()))
    _raise(no_confidence(accuracy_key, needs_confidence))
    if accuracy_key is not None:
        return {'accuracy': accuracy_key}
    built = runner.val_loop.evaluator.metrics
    metrics = [metric_of(metric) for metric in built]
    _raise(no_accuracy(metrics))
    prefix = next(m.prefix for m, each in zip(built, metrics) if each.gives_accuracy)
    before = f'{prefix}/' if prefix else ''
    return {
        'accuracy': f'{before}acc',
        'confidence': f'{before}conf',
        'median_gap': f'{before}median_gap',
    }


def _raise(finding: Finding | None) -> None:
    if finding is not None:
        raise ValueError(finding.sentence())
