"""Checks of a run that is built: its model, data, hooks and validation."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakSet

from mmengine.model import is_model_wrapper

from ..evaluation.metrics import CalibrationMetric
from ..models.losses import SCBCELoss
from .data import check_datasets, dataset_of
from .findings import Finding, report_findings
from .settings import WRONG_TTA, check_heads

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
    metrics = runner.val_loop.evaluator.metrics
    measuring = (
        metric
        for metric in metrics
        if isinstance(metric, CalibrationMetric)
        and (metric.mode, metric.protocol) == ('top_label', 'raw')
    )
    return next(measuring, None)


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
        names = [type(metric).__name__ for metric in runner.val_loop.evaluator.metrics]
        yield Finding(
            'error',
            'the levels of ASLPHook follow what a validation measures, which none '
            f"of val_evaluator's metrics {names} gives (CalibrationMetric does, with "
            "mode='top_label' and protocol='raw')",
            _EVALUATOR,
        )


def unwrap(model: Any) -> Any:
    """Take the wrappers of distributed training off a model."""
    while is_model_wrapper(model):
        model = model.module
    return model


def find_losses(model: Any) -> list[SCBCELoss]:
    """List the losses of all heads, decode and auxiliary ones."""
    return [module for module in model.modules() if isinstance(module, SCBCELoss)]


# Runs that were checked; a hook checks those that MMSegmentation's own tools start.
_CHECKED: WeakSet = WeakSet()


def check_once(runner: Any, splits: Sequence[str]) -> None:
    """Report what is found in a run, unless that was done before."""
    if runner not in _CHECKED:
        report_findings(check_run(runner, splits))
        _CHECKED.add(runner)


def check_run(runner: Any, splits: Sequence[str]) -> Iterator[Finding]:
    """Look for what does not work in a run, or measures something else."""
    settings = runner.cfg.get('model')
    if type(unwrap(runner.model)).__name__ == 'SegTTAModel':
        yield Finding('error', WRONG_TTA, "tta_model.type = 'BinarySegTTAModel'")
    if isinstance(settings, Mapping):
        settings = copy.deepcopy(settings.get('module', settings))  # of the views
        yield from check_heads(settings, 'train' in splits)

    loops = {split: getattr(runner, f'{split}_loop') for split in splits}
    for split, loop in loops.items():
        yield from check_batches(split, loop)
    yield from check_datasets({key: dataset_of(loop) for key, loop in loops.items()})
    if 'train' in splits:
        yield from check_hooks(runner)


def check_batches(split: str, loop: Any) -> Iterator[Finding]:
    """Look for a loop that would do nothing."""
    loader = getattr(loop, 'dataloader', None)
    if hasattr(dataset_of(loop), '__len__') and len(loader) == 0:
        text = f'{split}_dataloader gives no batch: batch_size is above its images'
        yield Finding('error', text, f'{split}_dataloader.drop_last = False')


def check_hooks(runner: Any) -> Iterator[Finding]:
    """Ask the hooks of a training what does not fit them."""
    for hook in runner.hooks:
        if hasattr(hook, 'findings'):
            yield from hook.findings(runner)
