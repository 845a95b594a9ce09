"""Checks of a config by building what it says, in a folder that is thrown away."""

import copy
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from ..checkpoint import check_checkpoint
from ..config import build_runner, name_run
from ..data import leaves, missing_data, with_binary_masks
from .data import check_masks, shared_images
from .findings import PATCH, Finding
from .run import check_hooks, check_loops

SPLITS = ('train', 'val', 'test')


def check_images(cfg: Any) -> Iterator[Finding]:
    """Look at the images and masks of a config; put right how masks are read."""
    init_default_scope(cfg.get('default_scope') or 'mmseg')
    datasets = {}
    for split in SPLITS:
        settings = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
        if settings is None:
            continue
        place = f'{split}_dataloader.dataset'
        missing, *ways_on = missing_data(cfg, split)
        if missing:
            level = 'note' if split == 'test' else 'error'
            yield Finding(level, f'{place}: {missing}', '\n'.join(ways_on))
            continue

        try:
            datasets[split] = DATASETS.build(copy.deepcopy(settings))
            findings = [*check_masks(split, datasets[split], thorough=True)]
        except Exception as error:  # parts of others raise what they like
            yield failure(place, error)
            continue
        yield from findings
        if any(finding.remedy == PATCH for finding in findings):
            for leaf in leaves(settings):
                leaf.pipeline = with_binary_masks(leaf.pipeline)

    yield from shared_images(datasets)


def check_parts(cfg: Any) -> Iterator[Finding]:
    """Build the runner, its hooks and loops, and ask them what does not fit."""
    if cfg.get('load_from'):
        try:
            check_checkpoint(cfg.load_from)
        except (OSError, ValueError) as error:
            yield failure('load_from', error)

    with tempfile.TemporaryDirectory() as folder:
        cfg = copy.deepcopy(cfg)
        hooks = cfg.get('custom_hooks') or []
        cfg.update(work_dir=folder, load_from=None, resume=False, log_level='ERROR')
        cfg.custom_hooks = []
        cfg._format_python_code = False  # formatting takes seconds
        if cfg.get('visualizer'):
            cfg.visualizer.vis_backends = []
        name_run(cfg, 'doctor')
        try:
            runner = build_runner(cfg)
        except Exception as error:
            yield failure('', error)
            return
        yield from _check_runner(runner, cfg, hooks)


def _check_runner(runner: Any, cfg: Any, hooks: list) -> Iterator[Finding]:
    loops = {}
    for place, build in _parts(runner, cfg, hooks):
        try:
            loops[place] = build()
        except Exception as error:
            yield failure(place, error)

    loops = {key.partition('_')[0]: loops[key] for key in loops if 'loader' in key}
    unusable = [*check_loops(loops)]
    yield from unusable
    if not unusable and 'train' in loops:
        yield from check_hooks(runner, ('train', 'val'))


def _parts(
    runner: Any, cfg: Any, hooks: list
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the place of each part and what builds it."""
    for hook in hooks:
        yield 'custom_hooks', lambda hook=hook: runner.register_hook(hook)
    for split in SPLITS:
        place = f'{split}_dataloader'
        if cfg.get(place) is not None and not missing_data(cfg, split)[0]:
            yield place, lambda split=split: getattr(runner, f'{split}_loop')
    if cfg.get('optim_wrapper'):
        yield 'optim_wrapper', lambda: runner.build_optim_wrapper(cfg.optim_wrapper)


def failure(place: str, error: Exception) -> Finding:
    """What a part raises that cannot be built."""
    plain = not isinstance(error, OSError) and error.args
    text = str(error.args[0]) if plain else str(error) or repr(error)
    return Finding('error', f'{place}: {text}' if place else text)
