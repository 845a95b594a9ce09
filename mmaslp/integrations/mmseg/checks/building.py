"""Checks of a config by building what it says, in a folder that is thrown away."""

import copy
import tempfile
from typing import Any

from ..checkpoint import check_checkpoint
from ..config import build_runner, name_run
from ..data import leaves, missing_data, with_binary_masks
from .data import check_masks, check_windows, dataset_of, shared_images
from .findings import PATCH, Finding, noted
from .run import check_batches, check_hooks

SPLITS = ('train', 'val', 'test')


def check_parts(cfg: Any) -> list[Finding]:
    """Build the runner of a config, its data and hooks, and look at them.

    It puts right how masks are read.
    """
    findings: list[Finding] = []
    if cfg.get('load_from'):
        with noted('load_from', findings):
            check_checkpoint(cfg.load_from)

    copied = copy.deepcopy(cfg)
    copied.update(custom_hooks=[], load_from=None, resume=False, log_level='ERROR')
    copied._format_python_code = False  # formatting takes seconds
    if cfg.get('visualizer'):
        copied.visualizer.vis_backends = []
    datasets: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, noted('', findings):
        copied.work_dir = folder
        name_run(copied, 'doctor')
        runner = build_runner(copied)
        for hook in cfg.get('custom_hooks') or []:
            with noted('custom_hooks', findings):
                runner.register_hook(copy.deepcopy(hook))

        for split in SPLITS:
            if cfg.get(f'{split}_dataloader'):
                findings += _check_split(cfg, split, runner, datasets)
        broken = [f for f in findings if f.level == 'error' and f.remedy != PATCH]
        if 'train' in datasets and not broken:
            findings += check_hooks(runner)
    return [*findings, *shared_images(datasets)]


def _check_split(
    cfg: Any, split: str, runner: Any, datasets: dict[str, Any]
) -> list[Finding]:
    """Build a loop, and look at the masks of its data set, which is added."""
    place = f'{split}_dataloader'
    missing, *ways_on = missing_data(cfg, split)
    if missing:
        level = 'note' if split == 'test' else 'error'
        return [Finding(level, f'{place}.dataset: {missing}', '\n'.join(ways_on))]

    findings: list[Finding] = []
    with noted(place, findings):
        loop = getattr(runner, f'{split}_loop')
        dataset = datasets[split] = dataset_of(loop)
        findings += check_batches(split, loop)
        findings += check_masks(split, dataset)
        if split == 'train' and not findings:
            findings += check_windows(dataset)

    if any(finding.remedy == PATCH for finding in findings):
        for leaf in leaves(cfg[place].dataset):
            leaf.pipeline = with_binary_masks(leaf.pipeline)
        if cfg.get('tta_pipeline'):
            cfg.tta_pipeline = with_binary_masks(cfg.tta_pipeline)
    return findings
