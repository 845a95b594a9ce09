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

__all__ = ['band_metric', 'check_some_loss', 'common_strength', 'metric_keys']


def check_some_loss(losses: Sequence[Any]) -> None:
    """Refuse a model without SCBCELoss.

    Args:
        losses (Sequence[Any]): Every SCBCELoss of the model.

    Raises:
        ValueError: If there is none.
    """
    _raise(no_loss(len(losses)))


def common_strength(losses: Sequence[Any]) -> float:
    """Strength beta of the losses, in (0, 2], that share one level per image.

    Args:
        losses (Sequence[Any]): Every SCBCELoss of the model.

    Raises:
        ValueError: If they have different strengths.
    """
    strengths = [loss.perturbation.beta for loss in losses]
    _raise(different_strengths(strengths))
    return strengths[0]


def band_metric(runner: Any) -> Any:
    """The CalibrationMetric of the validation that measures the network itself.

    Args:
        runner (Any): The runner, with its loops built.

    Raises:
        ValueError: If there is no validation or no such metric.
    """
    _raise(no_validation(LOOP_KEYS if runner.val_loop is None else ()))
    built = runner.val_loop.evaluator.metrics
    metrics = [metric_of(metric) for metric in built]
    _raise(no_accuracy(metrics))
    return next(m for m, each in zip(built, metrics) if each.gives_accuracy)


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
    prefix = band_metric(runner).prefix
    before = f'{prefix}/' if prefix else ''
    return {
        'accuracy': f'{before}acc',
        'confidence': f'{before}conf',
        'median_gap': f'{before}median_gap',
    }


def _raise(finding: Finding | None) -> None:
    if finding is not None:
        raise ValueError(finding.sentence())
