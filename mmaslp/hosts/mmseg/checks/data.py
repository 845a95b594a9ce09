"""Checks of the data of a config: labels, folders, and the test set."""

import os.path as osp
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .findings import Finding
from .parts import is_type, walk_datasets, walk_steps

__all__ = ['check_labels', 'missing_data', 'same_images', 'zero_labels']

SPLITS = ('train', 'val', 'test')


def zero_labels(cfg: Mapping, splits: Sequence[str] = SPLITS) -> Iterator[Finding]:
    """Look for datasets that ignore the background.

    Args:
        cfg (Mapping): A config, with its bases merged.
        splits (Sequence[str]): Of :data:`SPLITS`. Defaults to all.

    Yields:
        Finding: One for each dataset.
    """
    for path, dataset in _datasets(cfg, splits):
        if dataset.get('reduce_zero_label'):
            yield Finding(
                'error',
                f'{path} makes the background (0) a label to be ignored',
                f'{path}.reduce_zero_label = False',
            )


def check_labels(cfg: Mapping) -> Iterator[Finding]:
    """Look for datasets that read binary masks with another loader.

    Whether the masks hold 0 and 255 only their files say
    (:func:`~mmaslp.hosts.mmseg.datasets.examining.ignored_objects`).

    Args:
        cfg (Mapping): A config, with its bases merged.

    Yields:
        Finding: One for each dataset.
    """
    for path, dataset in _datasets(cfg):
        for step in walk_steps(dataset.get('pipeline')):
            if is_type(step, 'LoadAnnotations'):
                yield Finding(
                    'warning',
                    f'{path}.pipeline reads masks with LoadAnnotations: in a mask of '
                    '0 and 255 the objects are ignored, and every metric is 100',
                    f"{path}.pipeline: dict(type='LoadBinaryAnnotations')",
                )


def missing_data(cfg: Mapping) -> Iterator[Finding]:
    """Look for missing data folders.

    Args:
        cfg (Mapping): A config, with its bases merged.

    Yields:
        Finding: One for each folder.
    """
    roots: dict[str, str] = {}
    for path, dataset in _datasets(cfg):
        root = dataset.get('data_root') or '.'
        if '://' not in root and not osp.isdir(root):
            roots.setdefault(root, path)
    for root, path in roots.items():
        yield Finding(
            'note', f'no folder {root} here', f'{path}.data_root, or make the data'
        )


def same_images(cfg: Mapping, split: str, other: str) -> bool:
    """Whether two sets of a config have the same images, pipelines aside.

    Args:
        cfg (Mapping): A config, with its bases merged.
        split (str): One of :data:`SPLITS`.
        other (str): Another one.
    """
    loaders = (cfg.get(f'{k}_dataloader') or {} for k in (split, other))
    one, two = (_images(loader.get('dataset')) for loader in loaders)
    return one is not None and one == two


def _datasets(
    cfg: Mapping, splits: Sequence[str] = SPLITS
) -> Iterator[tuple[str, Mapping]]:
    for split in splits:
        dataset = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
        for path, each in walk_datasets(dataset, f'{split}_dataloader.dataset'):
            if isinstance(each, Mapping):
                yield path, each


def _images(part: Any) -> Any:
    """A part of a config, without the keys that do not choose the images."""
    if isinstance(part, Mapping):
        others = ('pipeline', 'test_mode', 'lazy_init', 'metainfo')
        return {k: _images(v) for k, v in part.items() if k not in others}
    if isinstance(part, (list, tuple)):
        return [_images(each) for each in part]
    return part.rstrip('/') if isinstance(part, str) else part
