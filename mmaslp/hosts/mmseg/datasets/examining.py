"""What can be wrong with the images and masks of built datasets."""

import os.path as osp
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..checks.findings import Finding
from ..checks.parts import type_name, walk_steps
from .listing import image_ids, leaf_datasets

__all__ = ['dataset_of', 'examine_datasets', 'ignored_objects', 'shared_images']

# Masks that are read of each dataset, spread over it.
_SAMPLE = 8
_OBJECT, _IGNORED = 1, 255


def dataset_of(loop: Any) -> Any:
    """Dataset of a loop of the host; None if it has none."""
    return getattr(getattr(loop, 'dataloader', None), 'dataset', None)


def examine_datasets(train: Any, val: Any) -> Iterator[Finding]:
    """Look at the data of a training.

    Args:
        train (Any): Training set of the host, wrapped or not.
        val (Any): Validation set; None without one.

    Yields:
        Finding: What was found.
    """
    if train is not None:
        yield from ignored_objects(train, 'train_dataloader.dataset')
    if train is not None and val is not None:
        yield from ignored_objects(val, 'val_dataloader.dataset')
        yield from shared_images(train, val, 'validation')


def ignored_objects(dataset: Any, place: str) -> Iterator[Finding]:
    """Look for masks of 0 and 255 that the host's loader reads.

    Args:
        dataset (Any): A dataset of the host, wrapped or not.
        place (str): Its place in the config.

    Yields:
        Finding: An error for each dataset all of whose objects would be ignored.
    """
    for leaf in leaf_datasets(dataset):
        steps = walk_steps(getattr(leaf, 'pipeline', None))
        loader = next((s for s in steps if type_name(s) == 'LoadAnnotations'), None)
        if loader is None or not len(leaf):
            continue
        chosen = np.unique(np.linspace(0, len(leaf) - 1, _SAMPLE).round().astype(int))
        infos = [leaf.get_data_info(int(i)) for i in chosen]
        labels = (loader(dict(info))['gt_seg_map'] for info in infos)
        if not _ignores_objects(labels):
            continue
        # Another transform may map 255 to 1.
        if not _ignores_objects(_final_labels(leaf[int(i)]) for i in chosen):
            continue
        yield Finding(
            'error',
            f'{place}: LoadAnnotations keeps the values 0 and 255 of the masks '
            f'({infos[0].get("seg_map_path")}), and 255 means "ignore": all objects '
            'are left out of losses and metrics, and the accuracy would be 1',
            f"{place}.pipeline: dict(type='LoadBinaryAnnotations') in the place of "
            'LoadAnnotations',
        )


def shared_images(train: Any, other: Any, purpose: str) -> Iterator[Finding]:
    """Look for training images in another set.

    Args:
        train (Any): Training set, wrapped or not.
        other (Any): The other set, wrapped or not.
        purpose (str): What it is for: 'validation' or 'test'.

    Yields:
        Finding: A warning; nothing for datasets that do not name their images.
    """
    try:
        known = {*map(osp.abspath, image_ids(train))}
        others = {*map(osp.abspath, image_ids(other))}
    except ValueError:
        return
    shared = known & others
    if shared:
        yield Finding(
            'warning',
            f'{len(shared)} of the {len(others)} {purpose} images are training images, '
            f'such as {min(shared)}: what is measured on them is not what the network '
            'does on unseen images',
            f'{purpose[:4].rstrip("i")}_dataloader.dataset: other images',
        )


def _ignores_objects(labels: Iterable[np.ndarray]) -> bool:
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
