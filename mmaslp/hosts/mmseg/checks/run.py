"""Checks of a run that is built: its model, data, hooks and validation."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakSet

from .data import check_datasets, dataset_of
from .findings import Finding, report_findings
from .model import check_model, unwrap

WRONG_TTA = Finding(
    'error',
    "MMSegmentation's SegTTAModel applies the sigmoid twice to one-channel heads and "
    'hands metrics the last view instead of the mean',
    "tta_model.type = 'BinarySegTTAModel'",
)


# Runs that were checked; a hook checks those that MMSegmentation's own tools start.
_CHECKED: WeakSet = WeakSet()


def check_once(runner: Any, splits: Sequence[str]) -> None:
    """Report what is found in a run, unless that was done before."""
    if runner not in _CHECKED:
        report_findings(check_run(runner, splits))
        _CHECKED.add(runner)


def check_run(runner: Any, splits: Sequence[str]) -> Iterator[Finding]:
    """Look for what does not work in a run, or measures something else."""
    model = unwrap(runner.model)
    if hasattr(model, 'merge_preds'):  # test-time augmentation
        if type(model).__name__ == 'SegTTAModel':
            yield WRONG_TTA
        model = unwrap(model.module)
    yield from check_model(model, 'train' in splits)
    loops = {split: getattr(runner, f'{split}_loop') for split in splits}
    unusable = [*_check_loops(loops)]
    yield from unusable
    yield from check_datasets({key: dataset_of(loop) for key, loop in loops.items()})
    if {'train', 'val'} <= {*splits} and not unusable:
        for hook in runner.hooks:
            if hasattr(hook, 'findings'):
                yield from hook.findings(runner)


def _check_loops(loops: Mapping[str, Any]) -> Iterator[Finding]:
    for split, loop in loops.items():
        loader = getattr(loop, 'dataloader', None)
        if hasattr(getattr(loader, 'dataset', None), '__len__') and len(loader) == 0:
            text = f'{split}_dataloader gives no batch: batch_size is above its images'
            yield Finding('error', text, f'{split}_dataloader.drop_last = False')
    for name in ('max_epochs', 'val_interval'):
        value = getattr(loops.get('train'), name, 1)
        if value < 1:
            yield Finding('error', f'train_cfg.{name} is {value}, below 1')
