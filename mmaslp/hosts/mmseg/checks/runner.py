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
    """Refuse a model without SCBCELoss."""
    _raise(no_loss(len(losses)))


def common_strength(losses: Sequence[Any]) -> float:
    """Strength beta of the losses, in (0, 2], that share one level per image."""
    strengths = [loss.perturbation.beta for loss in losses]
    _raise(different_strengths(strengths))
    return strengths[0]


def band_metric(runner: Any) -> Any:
    """The CalibrationMetric of the validation that measures the network itself."""
    _raise(no_validation(LOOP_KEYS if runner.val_loop is None else ()))
    built = runner.val_loop.evaluator.metrics
    metrics = [metric_of(metric) for metric in built]
    _raise(no_accuracy(metrics))
    return next(m for m, each in zip(built, metrics) if each.gives_accuracy)


def metric_keys(
    runner: Any, accuracy_key: str | None, needs_confidence: bool
) -> dict[str, str]:
    """Names under which a validation reports the values that a rule needs."""
    _raise(no_validation(LOOP_KEYS if runner.val_loop is None else ()))
    _raise(no_confidence(accuracy_key, needs_confidence))
    if accuracy_key is not None:
        return {'accuracy': accuracy_key}
    prefix = band_metric(runner).prefix
    before = f'{prefix}/' if prefix else ''
    return {'accuracy': f'{before}acc', 'confidence': f'{before}conf'}


def _raise(finding: Finding | None) -> None:
    if finding is not None:
        raise ValueError(finding.sentence())
