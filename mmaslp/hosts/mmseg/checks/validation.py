"""What a learning rule needs from the validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .findings import Finding

__all__ = [
    'LOOP_KEYS',
    'Metric',
    'metric_of',
    'no_accuracy',
    'no_confidence',
    'no_foreground',
    'no_validation',
]

# MMSegmentation builds a validation from these three.
LOOP_KEYS = ('val_dataloader', 'val_cfg', 'val_evaluator')

_EVALUATOR = (
    "val_evaluator = [dict(type='CalibrationMetric'), dict(type='IoUMetric', "
    "iou_metrics=['mIoU'])]"
)
_REMEDIES = {
    'val_dataloader': 'val_dataloader = dict(...)  (of images that are not trained on)',
    'val_cfg': "val_cfg = dict(type='ValLoop')",
    'val_evaluator': _EVALUATOR,
}


@dataclass(frozen=True)
class Metric:
    """What the checks must know about a metric."""

    name: str
    measure: tuple[str, str] | None = None

    @property
    def gives_accuracy(self) -> bool:
        """bool: Whether it reports the pixel accuracy of the network itself."""
        return self.measure == ('top_label', 'raw')

    def __str__(self) -> str:
        if self.measure is None:
            return repr(self.name)
        mode, protocol = self.measure
        return f'{self.name}(mode={mode!r}, protocol={protocol!r})'


def metric_of(part: Any) -> Metric:
    """Read a metric."""
    name = type(part).__name__
    bases = [base.__name__ for base in type(part).__mro__]
    measure = (part.mode, part.protocol) if 'CalibrationMetric' in bases else None
    return Metric(name, measure)


def no_validation(missing: Sequence[str]) -> Finding | None:
    """Refuse a run without a validation."""
    if not missing:
        return None
    return Finding(
        'error',
        'the levels of ASLPHook follow a validation, but there is no '
        f'{", ".join(missing)}',
        '\n'.join(
            [
                *(_REMEDIES[key] for key in missing),
                "or ASLPHook(levels='image', rule='fixed'), which needs no validation",
            ]
        ),
    )


def no_confidence(accuracy_key: str | None, needs_confidence: bool) -> Finding | None:
    """Refuse an accuracy without a confidence if the rule needs both."""
    if accuracy_key is None or not needs_confidence:
        return None
    return Finding(
        'error',
        'the rule of ASLPHook needs the confidence that CalibrationMetric measures, '
        f'and accuracy_key={accuracy_key!r} names an accuracy alone',
        f'custom_hooks: ASLPHook without accuracy_key\n{_EVALUATOR}',
    )


def no_accuracy(metrics: Sequence[Metric]) -> Finding | None:
    """Refuse a validation whose metrics give no accuracy."""
    if any(metric.gives_accuracy for metric in metrics):
        return None
    return Finding(
        'error',
        'the levels of ASLPHook follow what a validation measures, which none '
        f"of val_evaluator's metrics [{', '.join(map(str, metrics))}] gives "
        "(CalibrationMetric does, with mode='top_label' and protocol='raw')",
        _EVALUATOR,
    )


def no_foreground(place: str, remedy: str = '') -> Finding:
    """Warn of a set without an object."""
    return Finding(
        'warning',
        f'{place}: no mask has a pixel of foreground, so accuracy and confidence are '
        'those of the background alone',
        remedy
        or 'masks with 1 (or 255, with LoadBinaryAnnotations) for the foreground',
    )
