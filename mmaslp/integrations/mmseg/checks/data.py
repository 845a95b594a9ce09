"""Checks of built data sets: their masks, shared images, mixed images."""

import os.path as osp
import re
from collections.abc import Iterator, Mapping
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
    for split, dataset in datasets.items():
        yield from check_masks(split, dataset)
    yield from shared_images(datasets)


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


def masks_of(leaf: Any, most: int) -> Iterator[set[int]]:
    """Yield the values of up to ``most`` masks, in random order, as loaded."""
    loader = _mask_loader(leaf)
    order = [] if loader is None else np.random.default_rng(0).permutation(len(leaf))
    for index in order[:most]:
        label = loader(dict(leaf.get_data_info(int(index)))).get('gt_seg_map')
        if label is not None:
            yield {*np.unique(label).tolist()}


def mask_values(leaf: Any, most: int) -> set[int]:
    """Values of up to ``most`` masks of a data set, up to one that holds an object."""
    values: set[int] = set()
    for held in masks_of(leaf, most):
        values |= held
        if _OBJECT in values:
            break
    return values


def check_windows(dataset: Any) -> Iterator[Finding]:
    """Say that a network never sees a whole training image without an object."""
    leaves = [part for part, is_leaf in nested(dataset) if is_leaf]
    steps = [
        step for leaf in leaves for step in _transforms(getattr(leaf, 'pipeline', None))
    ]
    crops = [step for step in steps if _PART.fullmatch(type(step).__name__)]
    masks = (held for leaf in leaves for held in masks_of(leaf, _MANY))

    if not crops and all(_OBJECT in held for held in masks):
        yield Finding(
            'note',
            'all training images hold an object: what the network finds in images '
            'without one is left to chance',
            "train_dataloader.dataset.pipeline: dict(type='ObjectFreeCrop') after the "
            'masks are loaded, if it will be asked about such images; docs/windows.md '
            'has its price',
        )


def check_masks(split: str, dataset: Any) -> Iterator[Finding]:
    """Look for masks whose objects are ignored, and training sets without objects."""
    place = f'{split}_dataloader.dataset'
    most = _MANY if split == 'train' else _SAMPLE
    leaves = [part for part, is_leaf in nested(dataset) if is_leaf]
    values = [mask_values(leaf, most) for leaf in leaves]
    for leaf, held in zip(leaves, values):
        if _IGNORED in held and _OBJECT not in held and _stay_ignored(leaf):
            yield Finding(
                'error',
                f'{place}: {type(_mask_loader(leaf)).__name__} keeps the values 0 and '
                f'255 of the masks ({leaf.get_data_info(0).get("seg_map_path")}), and '
                '255 means "ignore": all objects are left out of losses and metrics, '
                'and the accuracy would be 1. LoadBinaryAnnotations reads them',
                PATCH,
            )
            return

    if split == 'train' and all(held == {0} for held in values):
        yield Finding(
            'error',
            f'{place}: none of the training masks has a pixel of foreground, so there '
            'is nothing to learn',
            f'{place}: masks of 0 and 1, or of 0 and 255 with LoadBinaryAnnotations',
        )


def _mask_loader(leaf: Any) -> Any:
    """The transform of a data set that reads its masks."""
    steps = _transforms(getattr(leaf, 'pipeline', None))
    return next((s for s in steps if type(s).__name__ in _LOADERS), None)


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
