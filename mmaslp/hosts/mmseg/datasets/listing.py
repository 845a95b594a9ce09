"""The images of a data set, and those of a batch."""

import os.path as osp
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ['batch_ids', 'data_folders', 'image_ids', 'leaf_datasets']


def leaf_datasets(dataset: Any) -> Iterator[Any]:
    """Walk through Concat-, Repeat-, ClassBalanced- and similar wrappers."""
    children = getattr(dataset, 'datasets', None)
    if children is None:
        child = getattr(dataset, 'dataset', None)
        children = [] if child is None else [child]
    if not children:
        yield dataset
    for child in children:
        yield from leaf_datasets(child)


def image_ids(dataset: Any) -> Iterator[str]:
    """Yield the ``img_path`` of every image of a training set."""
    for leaf in leaf_datasets(dataset):
        name = type(leaf).__name__
        if not hasattr(leaf, 'get_data_info'):
            raise ValueError(
                f'ASLPHook needs the image paths of the training set, but {name} has '
                'no get_data_info(): derive it from mmengine.dataset.BaseDataset'
            )
        try:
            for i in range(len(leaf)):
                yield leaf.get_data_info(i)['img_path']
        except KeyError as error:
            raise ValueError(
                f"ASLPHook tells images apart by 'img_path', which {name} does not "
                'give in get_data_info()'
            ) from error


def batch_ids(data_batch: Any) -> list[str]:
    """Return the ``img_path`` of every image of a batch."""
    samples = data_batch.get('data_samples') if isinstance(data_batch, dict) else None
    if not isinstance(samples, Sequence):
        raise ValueError(
            "ASLPHook reads the image paths from data_batch['data_samples'], a list of "
            'SegDataSample as PackSegInputs and pseudo_collate make it, got '
            f'{type(samples).__name__}'
        )
    try:
        return [sample.img_path for sample in samples]
    except AttributeError as error:
        raise ValueError(
            "ASLPHook needs 'img_path' in the meta_keys of PackSegInputs (it is among "
            'the default ones)'
        ) from error


def data_folders(dataset: Any) -> list[str]:
    """List the folders in which the images and masks of a data set lie."""
    found = set()
    for leaf in leaf_datasets(dataset):
        for i in range(len(leaf)) if hasattr(leaf, 'get_data_info') else ():
            info = leaf.get_data_info(i)
            paths = (info.get('img_path'), info.get('seg_map_path'))
            found.update(osp.dirname(path) for path in paths if path)
    return sorted(found)
