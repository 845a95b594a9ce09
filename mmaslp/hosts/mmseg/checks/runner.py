"""Checks of the objects of a runner, before the first iteration.

They use the same predicates as ``config``. So the doctor and the hook
give the same answer in the same words.
"""

import re
from collections.abc import Sequence
from typing import Any

from .findings import Finding
from .heads import refused_part
from .mixing import mixing_steps
from .parts import type_name
from .perturbation import different_strengths, no_loss
from .validation import (
    LOOP_KEYS,
    metric_of,
    no_accuracy,
    no_confidence,
    no_validation,
)

__all__ = ['check_losses', 'check_model', 'check_pipeline', 'metric_keys']


def check_model(model: Any) -> None:
    """Refuse models with a part that SCBCELoss cannot serve.

    Args:
        model (nn.Module): The segmentor, without wrappers.

    Raises:
        ValueError: If the segmentor or a head gives no logits per pixel and image.
    """
    for name, module in model.named_modules():
        _raise(refused_part(type_name(module), _place(name)))


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


def check_pipeline(dataset: Any, preprocessor: Any) -> None:
    """Refuse pipelines that make one training image from several.

    Args:
        dataset (Any): Training set.
        preprocessor (Any): Data preprocessor of the model, or None.

    Raises:
        ValueError: If a transform or a batch augmentation mixes images.
    """
    _raise(next(mixing_steps(dataset, preprocessor), None))


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


def _place(name: str) -> str:
    """Where a module stands in the config: decode_head.0 is model.decode_head[0]."""
    return re.sub(r'\.(\d+)(?=\.|$)', r'[\1]', f'model.{name}' if name else 'model')


def _raise(finding: Finding | None) -> None:
    if finding is not None:
        raise finding.exception()
