"""The images of a data set, and those of a batch."""

from collections.abc import Iterator
from typing import Any


def nested(dataset: Any) -> Iterator[tuple[Any, bool]]:
    """Yield a data set and all that it wraps, and whether each wraps no other."""
    children = getattr(dataset, 'datasets', None)
    if children is None:
        child = getattr(dataset, 'dataset', None)
        children = [] if child is None else [child]
    yield dataset, not children
    for child in children:
        yield from nested(child)


def image_ids(dataset: Any) -> Iterator[str]:
    """Yield the ``img_path`` of every image of a training set."""
    for leaf in (part for part, is_leaf in nested(dataset) if is_leaf):
        try:
            for i in range(len(leaf)):
                yield leaf.get_data_info(i)['img_path']
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f"images are told apart by 'img_path', which "
                f'{type(leaf).__name__} does not give in get_data_info(): derive it '
                'from mmengine.dataset.BaseDataset'
            ) from error


def batch_ids(data_batch: Any) -> list[str]:
    """Return the ``img_path`` of every image of a batch."""
    try:
        return [sample.img_path for sample in data_batch['data_samples']]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            "ASLPHook reads 'img_path' of each of data_batch['data_samples'], a list "
            'of SegDataSample as PackSegInputs and pseudo_collate make it: keep it in '
            'the meta_keys of PackSegInputs'
        ) from error


def data_files(dataset: Any) -> Iterator[str]:
    """Yield the paths of the images and masks of a data set."""
    for leaf, is_leaf in nested(dataset):
        for i in range(len(leaf)) if is_leaf and hasattr(leaf, 'get_data_info') else ():
            info = leaf.get_data_info(i)
            paths = (info.get('img_path'), info.get('seg_map_path'))
            yield from filter(None, paths)
