"""The data of a config: a folder in its place, and what of it is missing."""

import os.path as osp
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config, ConfigDict

from ...files.datasets import divided_parts, locate, prepare_dataset
from .config import is_type

_WAYS_ON = (
    'your own images and masks with the same config: add `--data FOLDER`; it holds '
    'images and masks, or img_dir and ann_dir, divided (train/images or images/train) '
    'or not',
    'without any data: `mmaslp demo`',
)


def leaves(dataset: Any) -> Iterator[ConfigDict]:
    """Yield the data sets that a config of a data set wraps, which wrap no other."""
    children = dataset.get('datasets') or [dataset.get('dataset')]
    if children == [None]:
        yield dataset
        return
    for child in children:
        yield from leaves(child)


def use_folder(cfg: Config, folder: str) -> str:
    """Let a config train, validate and test on a folder of images and masks.

    A folder that is not divided is checked and divided as by ``mmaslp prepare``. The
    pipelines of the config stay, but for the loader of the masks.

    Returns:
        str: The parts of the folder, in words.

    Raises:
        FileNotFoundError: There are no images and masks.
        ValueError: Some cannot be used, which are listed.
    """
    parts = [*divided_parts(folder)]
    words = f'{folder} has {", ".join(parts)}'
    if not parts:
        prepared = prepare_dataset(folder).parts
        parts = [*prepared]
        numbers = [f'{len(names)} {part}' for part, names in prepared.items()]
        words = f'{folder} was checked and divided: {", ".join(numbers)} images'

    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader is None:
            continue
        # Without a part of its own a test is one of the validation images.
        part = 'val' if split == 'test' and split not in parts else split
        pipeline = next(leaves(loader.dataset)).get('pipeline', [])
        loader.dataset = dict(
            type='SODDataset',
            data_root=folder,
            split=part,
            pipeline=with_binary_masks(pipeline),
            **({} if split == 'train' else {'test_mode': True}),
        )

    if cfg.get('tta_pipeline'):
        cfg.tta_pipeline = with_binary_masks(cfg.tta_pipeline)
    if cfg.get('test_sets'):
        cfg.test_sets = {}
    return words


def with_binary_masks(steps: Any) -> Any:
    """Copy a pipeline, with the loader of 0/255 masks in place of MMSegmentation's."""
    if isinstance(steps, (list, tuple)):
        return [with_binary_masks(step) for step in steps]
    if is_type(steps, 'LoadAnnotations'):
        return dict(type='LoadBinaryAnnotations')
    if isinstance(steps, Mapping) and 'transforms' in steps:
        return {**steps, 'transforms': with_binary_masks(steps['transforms'])}
    return steps


def check_data(cfg: Config) -> None:
    """Refuse a training without images before anything is built or logged.

    Raises:
        FileNotFoundError: Says what is missing, where it was looked for, what to fetch,
            how to train on other images, and what runs without.
    """
    for split in ('train', 'val'):
        lines = missing_data(cfg, split)
        if lines[0]:
            raise FileNotFoundError('\n'.join(lines))


def missing_data(cfg: Config, split: str) -> tuple[str, ...]:
    """Say what of the files of a data set is not there, then what to do; '' if none."""
    dataset = (cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}
    missing = next(filter(None, map(_missing, leaves(dataset))), '')
    return missing, *_WAYS_ON


def _missing(dataset: Mapping[str, Any]) -> str:
    """What of the files of a data set is not there."""
    root = dataset.get('data_root') or ''
    prefix = dataset.get('data_prefix') or {}
    layout = dataset.get('layout')
    if is_type(dataset, 'SODDataset') and not prefix:
        try:
            locate(root, layout, dataset.get('split'))
        except FileNotFoundError as error:
            return str(error)

    for name in (*prefix.values(), dataset.get('ann_file') or ''):
        path = osp.join(root, name)
        if not path or '://' in path or osp.exists(path):
            continue
        named = f' --layout {layout}' if layout else ''
        lists = f'\n`mmaslp prepare {osp.dirname(path)}{named}` writes lists of images'
        return (
            f'there is no {osp.abspath(path)}{lists if path.endswith(".txt") else ""}'
        )
    return ''
