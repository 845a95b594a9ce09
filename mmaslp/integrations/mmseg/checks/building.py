"""Checks of a config by building what it says, in a folder that is thrown away."""

import copy
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from ..checkpoint import check_checkpoint
from ..config import build_runner, name_run
from ..data import leaves, missing_data, with_binary_masks
from .data import check_masks, check_windows, shared_images
from .findings import PATCH, Finding
from .run import check_hooks

SPLITS = ('train', 'val', 'test')


@contextmanager
def noted(place: str, findings: list[Finding]) -> Iterator[None]:
    """Make a finding of what is raised."""
    try:
        yield
    except Exception as error:  # parts of others raise what they like
        plain = not isinstance(error, OSError) and error.args
        text = str(error.args[0]) if plain else str(error) or repr(error)
        findings.append(Finding('error', f'{place}: {text}' if place else text))


def check_images(cfg: Any) -> list[Finding]:
    """Look at the images and masks of a config; put right how masks are read."""
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    findings: list[Finding] = []
    datasets = {}
    for split in SPLITS:
        settings = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
        if settings is None:
            continue
        place = f'{split}_dataloader.dataset'
        missing, *ways_on = missing_data(cfg, split)
        if missing:
            level = 'note' if split == 'test' else 'error'
            text = f'{place}: {missing}'
            findings.append(Finding(level, text, '\n'.join(ways_on)))
            continue

        of_masks = []
        with noted(place, findings):
            datasets[split] = DATASETS.build(copy.deepcopy(settings))
            of_masks = [*check_masks(split, datasets[split])]
            if split == 'train' and not of_masks:
                of_masks = [*check_windows(datasets[split])]
        findings += of_masks
        if any(finding.remedy == PATCH for finding in of_masks):
            for leaf in leaves(settings):
                leaf.pipeline = with_binary_masks(leaf.pipeline)
            if cfg.get('tta_pipeline'):
                cfg.tta_pipeline = with_binary_masks(cfg.tta_pipeline)

    return [*findings, *shared_images(datasets)]


def check_parts(cfg: Any) -> list[Finding]:
    """Build the runner, its hooks and loops, and ask them what does not fit."""
    findings: list[Finding] = []
    if cfg.get('load_from'):
        with noted('load_from', findings):
            check_checkpoint(cfg.load_from)

    cfg = copy.deepcopy(cfg)
    hooks = cfg.get('custom_hooks') or []
    cfg.update(custom_hooks=[], load_from=None, resume=False, log_level='ERROR')
    cfg._format_python_code = False  # formatting takes seconds
    if cfg.get('visualizer'):
        cfg.visualizer.vis_backends = []
    with tempfile.TemporaryDirectory() as folder, noted('', findings):
        cfg.work_dir = folder
        name_run(cfg, 'doctor')
        runner = build_runner(cfg)
        for hook in hooks:
            with noted('custom_hooks', findings):
                runner.register_hook(hook)
        for split in SPLITS:
            place = f'{split}_dataloader'
            if cfg.get(place) and not missing_data(cfg, split)[0]:
                with noted(place, findings):
                    getattr(runner, f'{split}_loop')  # builds it
        if not findings and not missing_data(cfg, 'train')[0]:
            findings += check_hooks(runner)
    return findings
