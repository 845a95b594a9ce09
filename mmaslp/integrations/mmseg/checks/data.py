"""Checks of built data sets: their masks, shared images, mixed images."""

import os.path as osp
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..datasets.listing import image_ids, nested
from .findings import PATCH, Finding

# Masks of each data set that a run reads when it starts,
_SAMPLE = 8
# and those of a training set as long as none has an object.
_MANY = 1000
_LOADERS = ('LoadAnnotations', 'LoadBinaryAnnotations')
_OBJECT = 1
_IGNORED = 255
# Transforms whose result may hold no object of an image that has one.
_PART = re.compile('ObjectFreeCrop|RandomCrop|RandomCutOut')
_MIXING = re.compile(r'mosaic|mix_?up|cut_?mix|copy_?paste|class_?mix', re.IGNORECASE)


def dataset_of(loop: Any) -> Any:
    """Data set of a loop of MMEngine; None if it has none."""
    return getattr(getattr(loop, 'dataloader', None), 'dataset', None)


def check_datasets(datasets: Mapping[str, Any]) -> Iterator[Finding]:
    """Look at the masks of data sets, and for images in two of them."""
    present = {key: dataset for key, dataset in datasets.items() if dataset is not None}
    for split, dataset in present.items():
        yield from check_masks(split, dataset)
    yield from shared_images(present)


def shared_images(datasets: Mapping[str, Any]) -> Iterator[Finding]:
    """Look for images that are in two data sets."""
    ids = {split: _paths(dataset) for split, dataset in datasets.items()}
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


def no_foreground(place: str, remedy: str) -> Finding:
    """Warn of a set without an object."""
    return Finding(
        'warning',
        f'{place}: no mask has a pixel of foreground, so accuracy and confidence are '
        'those of the background alone',
        remedy,
    )


def mixed_images(dataset: Any, preprocessor: Any) -> Iterator[Finding]:
    """Look for transforms that make one training image of several."""
    holders = [getattr(part, 'pipeline', None) for part, _ in nested(dataset)]
    for step in _transforms([*holders, getattr(preprocessor, 'batch_augments', None)]):
        name = type(step).__name__
        if _MIXING.search(name) or hasattr(step, 'get_indices'):
            yield Finding(
                'error',
                f'the training pipeline holds {name}, which makes one image of several,'
                ' and a level by image belongs to one image',
                f"remove {name}\nor ASLPHook(levels='border'), which needs no images",
            )


def _transforms(step: Any) -> Iterator[Any]:
    """Go through a transform, or a list, and the transforms that it holds."""
    if isinstance(step, (list, tuple)):
        for inner in step:
            yield from _transforms(inner)
    elif step is not None:
        yield step
        yield from _transforms(getattr(step, 'transforms', None))


@dataclass
class MaskScan:
    """What the labels of a sample of masks hold.

    Attributes:
        masks (int): How many were read.
        with_object (int): How many of them have a pixel of label 1.
        with_ignored (int): How many have a pixel of label 255.
        blank (int): How many have nothing but 0.
        path (str): One of the masks.
    """

    masks: int = 0
    with_object: int = 0
    with_ignored: int = 0
    blank: int = 0
    path: str = ''


def scan_masks(leaf: Any, enough: int, most: int) -> MaskScan:
    """Read masks of a data set, in random order, as its loader does.

    It ends after ``most``, or earlier: when one has an object, and one has none or
    ``enough`` were read.
    """
    scan = MaskScan()
    loader = _mask_loader(leaf)
    order = [] if loader is None else np.random.default_rng(0).permutation(len(leaf))
    for index in order[:most]:
        info = leaf.get_data_info(int(index))
        label = loader(dict(info)).get('gt_seg_map')
        if label is None:
            break
        scan.path = info.get('seg_map_path')
        scan.masks += 1
        scan.with_object += bool((label == _OBJECT).any())
        scan.with_ignored += bool((label == _IGNORED).any())
        scan.blank += not label.any()
        some_without = scan.with_object < scan.masks
        if scan.with_object and (some_without or scan.masks >= enough):
            break
    return scan


def check_masks(split: str, dataset: Any, thorough: bool = False) -> Iterator[Finding]:
    """Look for masks whose objects are ignored, and for what a training set lacks."""
    place = f'{split}_dataloader.dataset'
    enough = _MANY if thorough else _SAMPLE
    most = _MANY if split == 'train' else _SAMPLE
    leaves = [part for part, is_leaf in nested(dataset) if is_leaf]
    scans = [scan_masks(leaf, enough, most) for leaf in leaves]
    for leaf, scan in zip(leaves, scans):
        if scan.with_ignored and not scan.with_object and _stay_ignored(leaf):
            yield Finding(
                'error',
                f'{place}: {type(_mask_loader(leaf)).__name__} keeps the values 0 and '
                f'255 of the masks ({scan.path}), and 255 means "ignore": all objects '
                'are left out of losses and metrics, and the accuracy would be 1. '
                'LoadBinaryAnnotations reads them',
                PATCH,
            )
            return

    masks = sum(scan.masks for scan in scans)
    if split != 'train' or not masks or 0 in [scan.masks for scan in scans]:
        return
    if sum(scan.blank for scan in scans) == masks:
        yield Finding(
            'error',
            f'{place}: none of {masks} training masks has a pixel of foreground, so '
            'there is nothing to learn',
            f'{place}: masks of 0 and 1, or of 0 and 255 with LoadBinaryAnnotations',
        )
    whole = not any(_shows_parts(leaf) for leaf in leaves)
    if thorough and whole and sum(scan.with_object for scan in scans) == masks:
        yield Finding(
            'note',
            f'all {masks:,} training images hold an object: what the network finds in '
            'images without one is left to chance',
            f"{place}.pipeline: dict(type='ObjectFreeCrop') after the masks are "
            'loaded, if it will be asked about such images',
        )


def _mask_loader(leaf: Any) -> Any:
    """The transform of a data set that reads its masks."""
    steps = _transforms(getattr(leaf, 'pipeline', None))
    return next((s for s in steps if type(s).__name__ in _LOADERS), None)


def _shows_parts(leaf: Any) -> bool:
    """Whether a training image may be a part of an image."""
    return any(_PART.fullmatch(type(s).__name__) for s in _transforms(leaf.pipeline))


def _stay_ignored(leaf: Any) -> bool:
    """Whether no transform behind the loader maps 255 to 1."""
    for index in range(min(len(leaf), _SAMPLE)):
        packed = leaf[index]['data_samples']
        first = packed[0] if isinstance(packed, list) else packed  # views of one image
        if (first.gt_sem_seg.data == _OBJECT).any():
            return False
    return True


def _paths(dataset: Any) -> set[str]:
    """Paths of the images; none of a data set that does not name them."""
    try:
        return {*map(osp.abspath, image_ids(dataset))}
    except ValueError:
        return set()
