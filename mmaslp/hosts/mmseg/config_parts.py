"""Parts of a config that is not built yet: their types, and the metrics."""

from collections.abc import Mapping
from typing import Any

__all__ = ['is_type', 'metrics_of']


def is_type(part: Any, name: str) -> bool:
    """Whether a part of a config builds a class, named with or without a scope."""
    kind = part.get('type') if isinstance(part, Mapping) else None
    kind = getattr(kind, '__name__', kind)
    return isinstance(kind, str) and kind.rsplit('.', 1)[-1] == name


def metrics_of(cfg: Mapping, evaluator: str) -> list:
    """List the metrics of an evaluator, in any of the three forms of a config.

    The forms are a list, one metric, or MMEngine's ``Evaluator`` that holds them.
    """
    metrics = cfg.get(evaluator) or []
    if isinstance(metrics, Mapping) and 'metrics' in metrics:
        metrics = metrics['metrics']
    return [metrics] if isinstance(metrics, Mapping) else list(metrics)
