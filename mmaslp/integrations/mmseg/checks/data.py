"""Checks of built data sets: their masks, shared images, mixed images."""

import os.path as osp
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..datasets.listing import image_ids, nested
from .findings import Finding

# Masks that are read of each data set, spread over it.
_SAMPLE = 8
# Masks that are read until one has an object.
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
        place = f'{split}_dataloader.dataset'
        for part, _ in nested(dataset):
            yield from _ignored_objects(part, place)

    if 'train' in present:
        yield from _nothing_to_learn(present['train'])
    ids = {split: _paths(dataset) for split, dataset in present.items()}
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


def _ignored_objects(leaf: Any, place: str) -> Iterator[Finding]:
    """Look for masks of 0 and 255 that MMSegmentation's own loader reads."""
    loader = _mask_loader(leaf)
    if type(loader).__name__ != 'LoadAnnotations' or not len(leaf):
        return
    chosen = _spread_over(len(leaf), _SAMPLE)
    infos = [leaf.get_data_info(int(i)) for i in chosen]
    if not _lacks_objects(loader(dict(info))['gt_seg_map'] for info in infos):
        return

    # Another transform may map 255 to 1.
    if not _lacks_objects(_final_labels(leaf[int(i)]) for i in chosen):
        return
    yield Finding(
        'error',
        f'{place}: LoadAnnotations keeps the values 0 and 255 of the masks '
        f'({infos[0].get("seg_map_path")}), and 255 means "ignore": all objects '
        'are left out of losses and metrics, and the accuracy would be 1',
        f"{place}.pipeline: dict(type='LoadBinaryAnnotations') in the place of "
        'LoadAnnotations',
    )


def _nothing_to_learn(dataset: Any) -> Iterator[Finding]:
    """Look for a training set without an object, in a sample of each data set."""
    seen = 0
    for leaf in (part for part, is_leaf in nested(dataset) if is_leaf):
        loader = _mask_loader(leaf)
        if loader is None:
            return
        for index in _spread_over(len(leaf), _MANY):
            label = loader(dict(leaf.get_data_info(int(index)))).get('gt_seg_map')
            if label is None or (label != 0).any():
                return
            seen += 1

    if seen:
        yield Finding(
            'error',
            f'train_dataloader.dataset: none of {seen} training masks has a pixel of '
            'foreground, so there is nothing to learn',
            'train_dataloader.dataset: masks of 0 and 1, or of 0 and 255 with '
            'LoadBinaryAnnotations',
        )


def every_image_has_an_object(dataset: Any) -> Iterator[Finding]:
    """Say so, unless a crop shows parts of images; it reads many masks."""
    seen = 0
    for leaf in (part for part, is_leaf in nested(dataset) if is_leaf):
        loader = _mask_loader(leaf)
        steps = [type(step).__name__ for step in _transforms(leaf.pipeline)]
        if loader is None or any(_PART.fullmatch(name) for name in steps):
            return
        for index in _spread_over(len(leaf), _MANY):
            label = loader(dict(leaf.get_data_info(int(index)))).get('gt_seg_map')
            if label is None or not (label == _OBJECT).any():
                return
            seen += 1

    if seen:
        yield Finding(
            'note',
            f'all {seen:,} training images hold an object: what the network finds in '
            'images without one is left to chance',
            "train_dataloader.dataset.pipeline: dict(type='ObjectFreeCrop') after the "
            'masks are loaded, if it will be asked about such images',
        )


def _mask_loader(leaf: Any) -> Any:
    """The transform of a data set that reads its masks."""
    steps = _transforms(getattr(leaf, 'pipeline', None))
    return next((s for s in steps if type(s).__name__ in _LOADERS), None)


def _spread_over(length: int, number: int) -> np.ndarray:
    """At most so many indices, spread over a data set."""
    if not length:
        return np.zeros(0, int)
    return np.unique(np.linspace(0, length - 1, number).round().astype(int))


def _lacks_objects(labels: Iterable[np.ndarray]) -> bool:
    """Whether labels hold 255 and no 1, all of them together."""
    ignored = False
    for label in labels:
        if (label == _OBJECT).any():
            return False
        ignored = ignored or bool((label == _IGNORED).any())
    return ignored


def _final_labels(sample: dict) -> np.ndarray:
    packed = sample['data_samples']
    first = packed[0] if isinstance(packed, list) else packed  # views of one image
    return first.gt_sem_seg.data.numpy()


def _paths(dataset: Any) -> set[str]:
    """Paths of the images; none of a data set that does not name them."""
    try:
        return {*map(osp.abspath, image_ids(dataset))}
    except ValueError:
        return set()
