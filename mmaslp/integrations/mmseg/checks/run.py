"""Checks of a run that is built: its data, its model, its hooks, its validation."""

import copy
import os.path as osp
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from ..config import type_of
from ..data import dataset_of, image_ids, leaf_sets, nested, rounds_of
from ..evaluation.metrics import CalibrationMetric
from ..models.losses import SCBCELoss
from .findings import PATCH, Finding, report_findings
from .settings import WRONG_TTA, check_heads

# Masks of each data set that a run reads when it starts,
_SAMPLE = 8
# and those of a training set as long as one class is lacking.
_MANY = 1000
# Rounds over the images of an epoch that is longer than most trainings.
_MANY_ROUNDS = 100
_OBJECT = 1
_IGNORED = 255
# What the loaders of files open.
_OPENED = {
    'LoadImageFromFile': 'img_path',
    'LoadAnnotations': 'seg_map_path',
    'LoadBinaryAnnotations': 'seg_map_path',
}
# What the steps of a pipeline do, by their names.
_STEPS = {
    'loads images': 'Image|Data',
    'loads masks': 'Annotation|Data',
    'packs both': 'Pack',
}
_MIXING = re.compile(r'mosaic|mix_?up|cut_?mix|copy_?paste|class_?mix', re.IGNORECASE)
# MMSegmentation builds a validation from these three.
_VALIDATION = """\
val_dataloader = dict(...)  (of images that are not trained on)
val_cfg = dict(type='ValLoop')
val_evaluator = [dict(type='CalibrationMetric'), dict(type='IoUMetric')]
or ASLPHook(levels='image', rule='fixed'), which needs no validation"""


def measuring_metric(runner: Any) -> CalibrationMetric | None:
    """The CalibrationMetric of the validation that measures the network itself."""
    for metric in runner.val_loop.evaluator.metrics:
        if not isinstance(metric, CalibrationMetric) or metric.calibrator is not None:
            continue
        if metric.mode == 'top_label' and metric.protocol == 'raw':
            return metric
    return None


def check_validation(runner: Any) -> Iterator[Finding]:
    """Refuse a run whose validation does not measure the network."""
    if runner.val_loop is None or measuring_metric(runner) is None:
        yield Finding(
            'error',
            'ASLPHook needs a validation that measures the raw network, but '
            'val_dataloader, val_cfg and val_evaluator do not define one: add a '
            "CalibrationMetric with mode='top_label' and protocol='raw', without a "
            'calibrator',
            _VALIDATION,
        )


def find_losses(model: Any) -> list[SCBCELoss]:
    """List the losses of all heads, decode and auxiliary ones."""
    return [module for module in model.modules() if isinstance(module, SCBCELoss)]


def check_once(runner: Any, splits: Sequence[str]) -> None:
    """Report what is found in a run, unless that was done before.

    A hook checks the runs that MMSegmentation's own tools start.
    """
    if not hasattr(runner, 'checked_by_mmaslp'):
        report_findings(check_run(runner, splits))
        runner.checked_by_mmaslp = True


def check_run(runner: Any, splits: Sequence[str]) -> Iterator[Finding]:
    """Look for what does not work in a run, or measures something else."""
    settings = runner.cfg.get('model')
    if type_of(settings) == 'SegTTAModel':
        yield Finding('error', WRONG_TTA, "tta_model.type = 'BinarySegTTAModel'")
    if isinstance(settings, Mapping):
        settings = copy.deepcopy(settings.get('module', settings))  # of the views
        yield from check_heads(settings, 'train' in splits)

    datasets = {}
    for split in splits:
        loop = getattr(runner, f'{split}_loop')
        yield from check_batches(split, loop)
        datasets[split] = dataset_of(loop)
    yield from check_datasets(datasets)
    if 'train' in splits:
        yield from check_hooks(runner)


def check_batches(split: str, loop: Any) -> Iterator[Finding]:
    """Look for a loop that would do nothing, or not end, or hardly ever validate."""
    loader: Any = getattr(loop, 'dataloader', None)
    place = f'{split}_dataloader'
    if hasattr(dataset_of(loop), '__len__'):
        yield from _lost_images(split, place, loader)

    ends = split != 'train' or type(loop).__name__ == 'EpochBasedTrainLoop'
    if ends and type(getattr(loader, 'sampler', None)).__name__ == 'InfiniteSampler':
        yield Finding(
            'error',
            f'{place} never ends: InfiniteSampler is one for IterBasedTrainLoop, and '
            'DefaultSampler one for epochs',
            PATCH,
        )

    rounds = rounds_of(dataset_of(loop))
    if ends and split == 'train' and rounds >= _MANY_ROUNDS:
        yield Finding(
            'warning',
            f'one epoch goes through the training images {rounds:,.0f} times, and '
            'validations come after epochs: levels move only then',
            f'RepeatDataset(times=1) in {place}.dataset\n'
            "or train_cfg = dict(type='IterBasedTrainLoop', max_iters=..., "
            'val_interval=...)',
        )


def _lost_images(split: str, place: str, loader: Any) -> Iterator[Finding]:
    """Look for images that drop_last leaves out: all, or some of a measurement."""
    if len(loader) == 0:
        yield Finding(
            'error',
            f'{place} gives no batch: batch_size is above its images',
            f'{place}.drop_last = False',
        )
    drops = split != 'train' and getattr(loader, 'drop_last', False)
    if drops and len(loader.sampler) % (loader.batch_size or 1):
        yield Finding(
            'error',
            f'{place} leaves images out of what it measures by drop_last',
            f'{place}.drop_last = False',
        )


def check_hooks(runner: Any) -> Iterator[Finding]:
    """Ask the hooks of a training what does not fit them."""
    for hook in runner.hooks:
        yield from getattr(hook, 'findings', lambda _: ())(runner)


def check_datasets(datasets: Mapping[str, Any]) -> Iterator[Finding]:
    """Look at the masks of data sets, and for images in two of them."""
    for split, dataset in datasets.items():
        yield from check_masks(split, dataset)
    yield from shared_images(datasets)


def shared_images(datasets: Mapping[str, Any]) -> Iterator[Finding]:
    """Look for images that are in two data sets."""
    ids = {}
    for split, dataset in datasets.items():
        with suppress(ValueError):  # of a data set that does not name its images
            ids[split] = set(map(osp.abspath, image_ids(dataset)))

    for one, other in (('val', 'train'), ('test', 'train'), ('test', 'val')):
        shared = ids.get(one, set()) & ids.get(other, set())
        if shared:
            yield Finding(
                'warning',
                f'{len(shared)} of the {len(ids[one])} {one} images are {other} '
                f'images, such as {min(shared)}: what is measured on them is not what '
                'the network does on unseen images',
                f'{one}_dataloader.dataset: other images',
            )


def mixed_images(dataset: Any, preprocessor: Any) -> Iterator[Finding]:
    """Look for transforms that make one training image of several."""
    steps = _pipelines(dataset)
    steps.append(getattr(preprocessor, 'batch_augments', None))
    for step in _transforms(steps):
        name = type(step).__name__
        if _MIXING.search(name) or hasattr(step, 'get_indices'):
            yield Finding(
                'error',
                f'the training pipeline contains {name}, which makes one image out of '
                'several, but a level by image belongs to one image',
                f"remove {name}\nor ASLPHook(levels='image_band'), which may mix them",
            )


def _pipelines(dataset: Any) -> list[Any]:
    """Those of a data set and of what it wraps; None of one without."""
    return [getattr(part, 'pipeline', None) for part, _ in nested(dataset)]


def _transforms(step: Any) -> Iterator[Any]:
    """Go through a transform, or a list, and the transforms that it holds."""
    if isinstance(step, (list, tuple)):
        for inner in step:
            yield from _transforms(inner)
    elif step is not None:
        yield step
        yield from _transforms(getattr(step, 'transforms', None))


def _mask_loader(leaf: Any) -> Any:
    """The transform of a data set that reads its masks."""
    for step in _transforms(getattr(leaf, 'pipeline', None)):
        if _OPENED.get(type(step).__name__) == 'seg_map_path':
            return step
    return None


def mask_values(leaf: Any, most: int) -> set[int]:
    """Values of up to ``most`` masks, in random order, until both classes occur."""
    values: set[int] = set()
    loader = _mask_loader(leaf)
    if loader is None:
        return values

    order = np.random.default_rng(0).permutation(len(leaf))
    for index in order[:most]:
        info = dict(leaf.get_data_info(int(index)))
        values.update(np.unique(loader(info).get('gt_seg_map', ())).tolist())
        if 0 in values and _OBJECT in values:
            break
    return values


def check_masks(split: str, dataset: Any) -> Iterator[Finding]:
    """Look for masks that cannot be read, or whose objects are ignored."""
    place = f'{split}_dataloader.dataset'
    leaves = leaf_sets(dataset)
    pipelines = [list(_transforms(pipeline)) for pipeline in _pipelines(dataset)]

    unreadable = next(_absent_files(place, leaves), None)
    if unreadable is None:
        unreadable = next(_lacking_steps(split, place, pipelines), None)
    if unreadable is not None:
        yield unreadable
        return

    # MMSegmentation changes predictions back, and a training has no predictions.
    if split != 'train':
        yield from _moved_masks(place, pipelines)

    most = _SAMPLE
    if split == 'train':
        most = _MANY
    values = [mask_values(leaf, most) for leaf in leaves]
    ignored = next(_ignored_objects(place, leaves, values), None)
    if ignored is not None:
        yield ignored
    elif split == 'train':
        yield from _one_class(place, values)


def _absent_files(place: str, leaves: Sequence[Any]) -> Iterator[Finding]:
    """Look for files of first images that a pipeline opens, and that are not there."""
    for leaf in leaves:
        for step in _transforms(getattr(leaf, 'pipeline', None)):
            key = _OPENED.get(type(step).__name__)
            elsewhere = getattr(step, 'backend_args', None) or getattr(
                step, 'file_client_args', None
            )
            if key is None or elsewhere or not len(leaf):
                continue
            path = leaf.get_data_info(0).get(key)
            if path and '://' not in path and not osp.exists(path):
                yield Finding(
                    'error',
                    f'{place}: there is no {path}',
                    f'{place}: data_prefix, img_suffix and seg_map_suffix as the files '
                    'are',
                )


def _lacking_steps(
    split: str, place: str, pipelines: Sequence[Sequence[Any]]
) -> Iterator[Finding]:
    """Look for pipelines that read no images or masks, or do not pack them."""
    steps: list[Any] = []
    for pipeline in pipelines:
        steps += pipeline
    names = [type(step).__name__ for step in steps]
    lacking = []
    for what, words in _STEPS.items():
        if not any(re.search(words, name) for name in names):
            lacking.append(what)

    if names and lacking and _are_known(steps):
        level = 'error'
        if split == 'test':
            level = 'warning'
        yield Finding(
            level,
            f'{place}: no step of its pipeline {" or ".join(lacking)}',
            f"{place}.pipeline: dict(type='LoadImageFromFile'), then "
            "dict(type='LoadBinaryAnnotations'), and dict(type='PackSegInputs') last",
        )


def _moved_masks(place: str, pipelines: Sequence[Sequence[Any]]) -> Iterator[Finding]:
    """Look for masks that a test changes together with the images."""
    for suffix, level in (('Flip', 'error'), ('Resize', 'warning')):
        moved = _step_that_moves(pipelines, suffix)
        if moved is not None:
            yield Finding(
                level,
                f'{place}: {moved} changes the masks too, and MMSegmentation '
                'changes what it predicts back to the image as it was, so that both '
                'may differ',
                f'{place}.pipeline: LoadBinaryAnnotations after {moved}',
            )


def _step_that_moves(pipelines: Sequence[Sequence[Any]], suffix: str) -> str | None:
    """The last step after the loader of masks whose name ends so; None without one."""
    for pipeline in pipelines:
        has_masks = False
        moved = None
        for step in pipeline:
            name = type(step).__name__
            if has_masks and name.endswith(suffix):
                moved = name
            has_masks = has_masks or 'Annotations' in name
        if moved is not None:
            return moved
    return None


def _ignored_objects(
    place: str, leaves: Sequence[Any], values: Sequence[set[int]]
) -> Iterator[Finding]:
    """Look for masks of 0 and 255 that are read as background and "ignore"."""
    for leaf, held in zip(leaves, values):
        if _IGNORED not in held or _OBJECT in held or not _are_known(leaf.pipeline):
            continue
        lost = 'all objects are'
        if getattr(leaf, 'reduce_zero_label', False):
            lost = 'by reduce_zero_label the background is'
        yield Finding(
            'error',
            f'{place}: {type(_mask_loader(leaf)).__name__} gives the values 0 and '
            f'255 for the masks ({leaf.get_data_info(0).get("seg_map_path")}), and '
            f'255 means "ignore": {lost} left out of losses and metrics, and the '
            'accuracy would be 1. LoadBinaryAnnotations reads masks of 0 and 1 or 255, '
            'and `data=FOLDER` takes it',
            PATCH,
        )


def _one_class(place: str, values: Sequence[set[int]]) -> Iterator[Finding]:
    """Look for training masks without an object, or without a background."""
    for only, absent in ((0, 'foreground'), (_OBJECT, 'background')):
        if all(held == {only} for held in values):
            yield Finding(
                'error',
                f'{place}: none of the training masks has a pixel of {absent}, so '
                'there is nothing to learn',
                f'{place}: masks of 0 and 1, or of 0 and 255 with '
                'LoadBinaryAnnotations',
            )
            return


def _are_known(steps: Any) -> bool:
    """Whether all transforms are of packages in which none maps 255 to 1."""
    packages = ('mmcv.', 'mmengine.', 'mmseg.', 'mmaslp.')
    return all(
        type(step).__module__.startswith(packages) for step in _transforms(steps)
    )
