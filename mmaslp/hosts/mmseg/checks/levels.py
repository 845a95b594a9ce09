"""What levels need of a run: losses of one strength, and a validation."""

from collections.abc import Iterator, Sequence
from typing import Any

from ..metrics import CalibrationMetric
from .findings import Finding

__all__ = ['check_strengths', 'check_validation', 'measuring_metric']

_EVALUATOR = (
    "val_evaluator = [dict(type='CalibrationMetric'), dict(type='IoUMetric', "
    "iou_metrics=['mIoU'])]"
)
# MMSegmentation builds a validation from these three.
_VALIDATION = f"""\
val_dataloader = dict(...)  (of images that are not trained on)
val_cfg = dict(type='ValLoop')
{_EVALUATOR}
or ASLPHook(levels='image', rule='fixed'), which needs no validation"""


def measuring_metric(runner: Any) -> CalibrationMetric | None:
    """The CalibrationMetric of the validation that measures the network itself."""
    for metric in runner.val_loop.evaluator.metrics:
        measures = isinstance(metric, CalibrationMetric)
        if measures and (metric.mode, metric.protocol) == ('top_label', 'raw'):
            return metric
    return None


def check_validation(runner: Any) -> Iterator[Finding]:
    """Refuse a run whose validation does not measure the network."""
    if runner.val_loop is None:
        yield Finding(
            'error',
            'the levels of ASLPHook follow a validation, but there is no '
            'val_dataloader, val_cfg and val_evaluator',
            _VALIDATION,
        )
    elif measuring_metric(runner) is None:
        names = [type(each).__name__ for each in runner.val_loop.evaluator.metrics]
        yield Finding(
            'error',
            'the levels of ASLPHook follow what a validation measures, which none '
            f"of val_evaluator's metrics {names} gives (CalibrationMetric does, with "
            "mode='top_label' and protocol='raw')",
            _EVALUATOR,
        )


def check_strengths(losses: Sequence[Any]) -> Iterator[Finding]:
    """Refuse heads that perturb labels by different strengths.

    Perturbations of the same strength may differ otherwise (``'M'``, ``'DM'`` and
    ``1.0``): the levels depend on beta alone.
    """
    different = sorted({loss.perturbation.beta for loss in losses})
    if len(different) > 1:
        yield Finding(
            'error',
            f'the heads have different strengths beta '
            f'({", ".join(f"{beta:g}" for beta in different)}): one level per image '
            'needs the same beta in every head',
            "beta = 'HI'  (in every SCBCELoss)",
        )
