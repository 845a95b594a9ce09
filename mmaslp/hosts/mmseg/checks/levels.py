"""What levels need of a run: a validation that measures the network."""

from collections.abc import Iterator
from typing import Any

from ..metrics import CalibrationMetric
from .findings import Finding

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
