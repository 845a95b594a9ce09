"""What the doctor does with a config: build it, look at it, and write a patch.

It builds what the config says, in a folder that is thrown away. What its checks change
in the config is the patch, as lines of a config.
"""

import ast
import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from ...common.options import LEAST_CASES
from .checkpoint import check_checkpoint
from .checks.findings import PATCH, Diagnosis, Finding, noted
from .checks.run import check_batches, check_hooks, check_masks, shared_images
from .checks.settings import check_settings
from .config import (
    bases_of,
    build_runner,
    find_config,
    import_modules,
    name_run,
    read_config,
    type_of,
)
from .data import (
    WAYS_ON,
    dataset_of,
    leaf_sets,
    missing_data,
    use_folder,
    with_binary_masks,
)

# Where Resize enlarges an image so far, its scale is that of other images.
_MANY_TIMES = 4


def examine_config(
    config: str, data: str | None, levels: str | None, diagnosis: Diagnosis
) -> None:
    """Add what is found in a config, and the config as it should be."""
    with noted(config, diagnosis.findings):
        cfg = read_config(config)
        diagnosis.original = cfg.to_dict()
        diagnosis.findings += _of_scoped_bases(config)
        if data is not None:
            diagnosis.findings.append(Finding('ok', use_folder(cfg, data)))
        diagnosis.findings += check_settings(cfg, levels)

        import_modules(cfg)
        diagnosis.findings += check_parts(cfg)
        diagnosis.mended = cfg.to_dict()


def _of_scoped_bases(config: str) -> Iterator[Finding]:
    """Say which bases of a config MMSegmentation cannot read."""
    for base in bases_of(find_config(config)):
        if not base.startswith(('mmaslp::', 'mmseg::')):
            continue
        yield Finding(
            'note',
            f'only the tools of mmaslp can read {base!r}: `mmaslp train` and '
            "`python tools/train.py` of this package; MMSegmentation's own end "
            'with an error',
            'for those name the file by its path in _base_',
        )


def check_parts(cfg: Any) -> list[Finding]:
    """Build the runner of a config, its data and hooks, and look at them.

    It puts right how masks are read, and samplers that never end.
    """
    findings: list[Finding] = []
    if cfg.get('load_from'):
        with noted('load_from', findings):
            check_checkpoint(cfg.load_from)

    datasets: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, noted('', findings):
        runner = build_runner(_bare_copy(cfg, folder))
        findings += _add_parts(cfg, runner)
        for split in ('train', 'val', 'test'):
            if cfg.get(f'{split}_dataloader') is not None:
                findings += _check_split(cfg, split, runner, datasets)
        if 'train' in datasets and not Diagnosis(findings).uncured:
            findings += check_hooks(runner)
            with noted('param_scheduler', findings):
                runner.build_param_scheduler(
                    copy.deepcopy(cfg.get('param_scheduler') or [])
                )
    findings += shared_images(datasets)
    return findings


def _bare_copy(cfg: Any, folder: str) -> Any:
    """A config that builds fast, writes into a folder only, and reads no weights."""
    copied = copy.deepcopy(cfg)
    copied.update(custom_hooks=[], load_from=None, resume=False, log_level='ERROR')
    copied._format_python_code = False  # formatting takes seconds
    if cfg.get('visualizer'):
        copied.visualizer.vis_backends = []
    copied.work_dir = folder
    name_run(copied, 'doctor')
    return copied


def _add_parts(cfg: Any, runner: Any) -> list[Finding]:
    """Build hooks and optimizer, each of which may fail without the others."""
    findings: list[Finding] = []
    for hook in cfg.get('custom_hooks') or []:
        with noted('custom_hooks', findings):
            runner.register_hook(copy.deepcopy(hook))

    if cfg.get('optim_wrapper'):
        with noted('optim_wrapper', findings):
            runner.optim_wrapper = runner.build_optim_wrapper(
                copy.deepcopy(cfg.optim_wrapper)
            )
    return findings


def _check_split(
    cfg: Any, split: str, runner: Any, datasets: dict[str, Any]
) -> list[Finding]:
    """Build a loop, and look at the masks of its data set, which is added."""
    key = f'{split}_dataloader'
    missing = missing_data(cfg[key].get('dataset') or {})
    if missing:
        level = 'error'
        if split == 'test':
            level = 'note'
        remedy = '\n'.join(WAYS_ON)
        return [Finding(level, f'{key}.dataset: {missing}', remedy)]

    findings: list[Finding] = []
    place = f'{key}: {type_of(cfg[key].get("dataset"))}'.rstrip(': ')
    with noted(place, findings):
        loop = getattr(runner, f'{split}_loop')
        dataset = datasets[split] = dataset_of(loop)
        for finding in check_batches(split, loop):
            findings.append(finding)
            if finding.remedy == PATCH:
                shuffles = split == 'train'
                cfg[key].sampler = dict(type='DefaultSampler', shuffle=shuffles)
        findings += _check_dataset(cfg, split, dataset)
    return findings


def _check_dataset(cfg: Any, split: str, dataset: Any) -> Iterator[Finding]:
    """Look at masks, one image and the size of a data set."""
    key = f'{split}_dataloader'
    faults = 0
    for finding in check_masks(split, dataset):
        yield finding
        faults += 1
        if finding.remedy != PATCH:
            continue
        for leaf in leaf_sets(cfg[key].dataset):
            leaf.pipeline = with_binary_masks(leaf.pipeline)
        if cfg.get('tta_pipeline'):
            cfg.tta_pipeline = with_binary_masks(cfg.tta_pipeline)

    # Not in a training: to read an image moves its random numbers.
    can_be_read = hasattr(dataset, 'get_data_info') and len(dataset) > 0
    if split != 'test' and can_be_read and not faults:
        yield from _check_sample(f'{key}.dataset', dataset[0])
    if split == 'val':
        yield from _few_images(dataset)


def _check_sample(place: str, sample: dict[str, Any]) -> Iterator[Finding]:
    """Look at what a pipeline makes of the first image."""
    content = sample.get('data_samples')
    if content is None or 'gt_sem_seg' not in content:
        yield Finding(
            'error',
            f'{place}: its pipeline gives no masks',
            f"{place}.pipeline: dict(type='LoadBinaryAnnotations') after the images "
            "are loaded, and dict(type='PackSegInputs') last",
        )
        return

    factor = np.max(content.get('scale_factor', 1))
    if factor >= _MANY_TIMES:
        yield Finding(
            'note',
            f'{place}: its pipeline makes the first image {factor:.3g} times as wide '
            'or high as the file, which costs time and memory and adds no detail',
            f'{place}.pipeline: Resize and crops of about the size of the images',
        )


def _few_images(dataset: Any) -> Iterator[Finding]:
    """Look for a validation that is too small for what is fitted to it."""
    if hasattr(dataset, '__len__') and len(dataset) < LEAST_CASES:
        yield Finding(
            'note',
            f'val_dataloader.dataset has too few images ({len(dataset)}): levels would '
            f'follow chance, and a calibrator needs {LEAST_CASES}',
            'val_dataloader.dataset: more images that are not trained on',
        )


def pasted(path: str, original: dict, mended: dict) -> str:
    """Lines that change a config when they stand at its end.

    MMEngine merges what a file says into what its bases say. An assignment in a file
    replaces an earlier one in the same file, so a name that the file itself sets keeps
    what it holds: ``model = dict(model, ...)``.
    """
    file = find_config(path)
    assigned = _assigned_in(file)
    base = _read_bases(file)

    lines = []
    for name in _changed(original, mended):
        value = mended[name]
        before = original.get(name)
        if name in assigned and isinstance(value, dict) and isinstance(before, dict):
            parts = {}
            for key in _changed(before, value):
                parts[key] = _change(base.get(name) or {}, value, key)
            line = _assignment(name, parts).replace('dict(', f'dict({name}, ', 1)
            lines.append(line.replace(', \n', ',\n'))
        else:
            lines.append(_assignment(name, _change(base, mended, name)))
    return '\n'.join(lines)


def _assigned_in(file: str) -> set[str]:
    """Names that a config sets itself."""
    names = set()
    for node in ast.parse(Path(file).read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.add(node.targets[0].id)
    return names


def child_config(base: str, original: dict, mended: dict) -> str:
    """A config that has another one as its base, and changes it."""
    lines = [f'_base_ = {base!r}']
    for name in _changed(original, mended):
        lines.append(_assignment(name, _change(original, mended, name)))
    return '\n'.join(lines) + '\n'


def _assignment(name: str, value: Any) -> str:
    """One assignment, as MMEngine writes configs."""
    return Config({name: value}).pretty_text.rstrip()


def _changed(before: dict, after: dict) -> list[str]:
    return [name for name in after if name not in before or before[name] != after[name]]


def _change(before: dict, after: dict, name: str) -> Any:
    """What MMEngine has to merge into ``before[name]`` to get ``after[name]``."""
    value = after[name]
    if name not in before or not isinstance(value, dict):
        return value
    base = before[name]
    if not isinstance(base, dict) or base.keys() - value.keys():
        return {'_delete_': True} | value
    return {key: _change(base, value, key) for key in _changed(base, value)}


def _read_bases(file: str) -> dict:
    """Read what the bases of a config say, without the config."""
    beside = Path(file).absolute().parent
    paths = []
    for name in Config._get_base_files(file):
        if '::' not in name:
            name = str(beside / name)
        paths.append(name)
    with tempfile.TemporaryDirectory() as folder:
        child = Path(folder) / 'bases.py'
        child.write_text(f'_base_ = {paths!r}\n', encoding='utf-8')
        return read_config(str(child)).to_dict()
