"""Checks of a run that is built: its model, data, hooks and validation."""

from collections.abc import Iterator, Sequence
from typing import Any

from .data import check_datasets, dataset_of
from .findings import Finding
from .model import check_model, unwrap


def check_run(runner: Any, splits: Sequence[str]) -> Iterator[Finding]:
    """Look for what does not work in a run, or measures something else.

    The doctor, ``mmaslp train`` and ``mmaslp test`` run it on the runner that they
    build.
    """
    model = unwrap(runner.model)
    if hasattr(model, 'merge_preds'):  # test-time augmentation
        if type(model).__name__ == 'SegTTAModel':
            yield Finding(
                'error',
                "MMSegmentation's SegTTAModel applies the sigmoid twice to one-channel "
                'heads and hands metrics the last view instead of the mean',
                "tta_model.type = 'BinarySegTTAModel'",
            )
        model = unwrap(model.module)
    yield from check_model(model, 'train' in splits)
    loops = {split: getattr(runner, f'{split}_loop') for split in splits}
    yield from check_datasets({key: dataset_of(loop) for key, loop in loops.items()})
    if {'train', 'val'} <= {*splits}:
        for hook in runner.hooks:
            if hasattr(hook, 'findings'):
                yield from hook.findings(runner)
