"""Data: those that a config names, what of them is missing, and those that are built.

A data set may be the config of one, or built from it: both wrap others alike.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from ...files.datasets import describe_parts, divided_parts, locate
from ...workflows.prepare import prepare_dataset
from .config import type_of

WAYS_ON = (
    'your own images and masks with the same config: add `data=FOLDER`; it contains '
    'images and masks, or img_dir and ann_dir, divided (train/images or images/train) '
    'or not',
    'without any data: `mmaslp demo`',
)


def nested(dataset: Any) -> Iterator[tuple[Any, bool]]:
    """Yield a data set and all that it wraps, and whether each wraps no other."""
    children = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    children = [child for child in children if child is not None]
    yield dataset, not children
    for child in children:
        yield from nested(child)


def leaf_sets(dataset: Any) -> list[Any]:
    """List the data sets that one wraps, or is, which wrap no other."""
    return [part for part, is_leaf in nested(dataset) if is_leaf]


def sets_named(cfg: Config, split: str) -> list[dict]:
    """The data sets of a split, as a config names them, but for how they are read."""
    leaves = leaf_sets((cfg.get(f'{split}_dataloader') or {}).get('dataset') or {})
    return [dict(leaf, pipeline=None, test_mode=None) for leaf in leaves]


def dataset_of(loop: Any) -> Any:
    """Data set of a loop of MMEngine; None if it has none."""
    return getattr(getattr(loop, 'dataloader', None), 'dataset', None)


def image_ids(dataset: Any) -> Iterator[str]:
    """Yield the ``img_path`` of every image of a data set."""
    for leaf in leaf_sets(dataset):
        try:
            for i in range(len(leaf)):
                yield leaf.get_data_info(i)['img_path']
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f"images are told apart by 'img_path', which "
                f'{type(leaf).__name__} does not give in get_data_info(): derive it '
                'from mmengine.dataset.BaseDataset'
            ) from error


def rounds_of(dataset: Any) -> float:
    """How often a data set gives its images, as ``RepeatDataset`` does; else 1."""
    images = 0
    for leaf in leaf_sets(dataset):
        if hasattr(leaf, '__len__'):
            images += len(leaf)
    if images == 0 or not hasattr(dataset, '__len__'):
        return 1
    return max(len(dataset) / images, 1)


def data_files(dataset: Any) -> Iterator[str]:
    """Yield the paths of the images and masks of a data set."""
    for leaf in leaf_sets(dataset):
        if not hasattr(leaf, 'get_data_info'):
            continue
        for i in range(len(leaf)):
            info = leaf.get_data_info(i)
            for key in ('img_path', 'seg_map_path'):
                if info.get(key):
                    yield info[key]


def inputs_of(cfg: Config, datasets: Iterable[Any]) -> list[str]:
    """List what a run reads, over which and into which nothing may be written.

    Configs and their bases, lists of images, folders of images and of masks.
    """
    # The text of a config names each file that it was read from, on its first line.
    inputs = set()
    for line in (cfg.text or '').splitlines():
        if line.endswith('.py'):
            inputs.add(line)
    for dataset in datasets:
        for path in data_files(dataset):
            inputs.add(os.path.dirname(path))
        for leaf in leaf_sets(dataset):
            inputs.add(getattr(leaf, 'list_file', getattr(leaf, 'ann_file', '')))
    return sorted(inputs)


def folders_named(dataset: Mapping[str, Any]) -> Iterator[str]:
    """Yield the folders of images and masks that the config of a data set names.

    What a class has by default is known only once it is built, see :func:`inputs_of`.
    """
    root = dataset.get('data_root') or ''
    prefix = dataset.get('data_prefix') or {}
    if type_of(dataset) == 'SODDataset' and not prefix:
        with suppress(FileNotFoundError):
            folders, _ = locate(root, dataset.get('layout'), dataset.get('split'))
            yield from folders
    for name in prefix.values():
        if name and '://' not in os.path.join(root, name):
            yield os.path.join(root, name)


def use_folder(cfg: Config, folder: str, whole: bool = False) -> str:
    """Let a config train, validate and test on a folder of images and masks.

    A folder that is not divided is checked and divided as by ``mmaslp prepare``; with
    ``whole``, as for a test or a fit, all its images are taken, and the training keeps
    its own. The pipelines of the config stay, but for the loader of the masks.

    Returns:
        str: The parts of the folder, in words.

    Raises:
        FileNotFoundError: There are no images and masks.
        ValueError: Some cannot be used, which are listed.
    """
    parts = _parts_of(folder, whole)
    for split in parts.splits():
        loader = cfg.get(f'{split}_dataloader')
        if loader is not None:
            loader.dataset = _dataset_of_part(
                loader.dataset, folder, parts.of(split), split != 'train'
            )

    if cfg.get('tta_pipeline'):
        cfg.tta_pipeline = with_binary_masks(cfg.tta_pipeline)
    if cfg.get('test_sets'):
        cfg.test_sets = {}
    return parts.words


@dataclass(frozen=True)
class FolderParts:
    """The parts of a folder of images and masks.

    Attributes:
        names (list[str]): Of 'train', 'val' and 'test'; empty if it is taken whole.
        words (str): What is said of them.
    """

    names: list[str]
    words: str

    def splits(self) -> list[str]:
        """The splits of a config that take their images from the folder."""
        if self.names:
            return ['train', 'val', 'test']
        return ['val', 'test']

    def of(self, split: str) -> str | None:
        """The part that a split takes; None for the whole folder."""
        if not self.names:
            return None
        # Without a part of its own a test is one of the validation images.
        if split == 'test' and 'test' not in self.names:
            return 'val'
        return split


def _parts_of(folder: str, whole: bool) -> FolderParts:
    """Find the parts of a folder, or divide it, or take it whole."""
    divided = divided_parts(folder)
    if divided:
        names = list(divided)
        words = f'{folder} has {describe_parts(divided)}'
        if 'val' not in names and not (whole and 'test' in names):
            raise FileNotFoundError(
                f'{folder} has {" and ".join(names)}, and no val to validate on: add '
                'images and masks of it, or put all into images and masks, which are '
                'divided then'
            )
        return FolderParts(names, _with_test(names, words))

    if whole:
        locate(folder)  # or say what is missing
        return FolderParts([], f'{folder} is not divided: all its images are taken')

    prepared = prepare_dataset(folder).parts
    sizes = ', '.join(f'{len(images)} {part}' for part, images in prepared.items())
    words = f'{folder} was checked and divided: {sizes} images'
    names = list(prepared)
    return FolderParts(names, _with_test(names, words))


def _with_test(names: Sequence[str], words: str) -> str:
    if 'test' in names:
        return words
    return (
        f'{words}; a test takes the validation images, to which calibrators are '
        'fitted: they look better than on other images'
    )


def _dataset_of_part(
    dataset: Any, folder: str, part: str | None, is_test: bool
) -> dict[str, Any]:
    """The config of a data set with a part of a folder in place of its own images."""
    inner = dict(
        type='SODDataset',
        data_root=folder,
        split=part,
        pipeline=with_binary_masks(leaf_sets(dataset)[0].get('pipeline', [])),
    )
    if is_test:
        inner['test_mode'] = True
    if type_of(dataset) == 'RepeatDataset':
        return dict(dataset, dataset=inner)
    return inner


def with_binary_masks(steps: Any) -> Any:
    """Copy a pipeline, with the loader of 0/255 masks in place of MMSegmentation's."""
    if isinstance(steps, (list, tuple)):
        return [with_binary_masks(step) for step in steps]
    if type_of(steps) == 'LoadAnnotations':
        return dict(type='LoadBinaryAnnotations')
    if isinstance(steps, Mapping) and 'transforms' in steps:
        return dict(steps, transforms=with_binary_masks(steps['transforms']))
    return steps


def check_data(datasets: Iterable[Mapping], ways_on: Sequence[str] = WAYS_ON) -> None:
    """Refuse data sets without images before anything is built or logged.

    Raises:
        FileNotFoundError: Says what is missing, where it was looked for, what to fetch,
            how to take other images, and what runs without.
    """
    for dataset in datasets:
        missing = missing_data(dataset)
        if missing:
            raise FileNotFoundError('\n'.join([missing, *ways_on]))


def missing_data(dataset: Mapping[str, Any]) -> str:
    """Say what of the files of a data set is not there; '' if nothing is missing."""
    return next(filter(None, map(_missing, leaf_sets(dataset))), '')


def _missing(dataset: Mapping[str, Any]) -> str:
    """What of the files of a data set is not there."""
    if not isinstance(dataset, Mapping):
        return f'a data set must be a dict, got {dataset!r}'
    root = dataset.get('data_root') or ''
    prefix = dataset.get('data_prefix') or {}
    layout = dataset.get('layout')
    if type_of(dataset) == 'SODDataset' and not prefix:
        try:
            locate(root, layout, dataset.get('split'))
        except FileNotFoundError as error:
            return str(error)

    names = list(prefix.values())
    names.append(dataset.get('ann_file'))
    for name in names:
        path = os.path.join(root, name or '')
        if path and '://' not in path and not os.path.exists(path):
            return f'there is no {os.path.abspath(path)}{_who_writes(path, layout)}'

    # Other data sets of MMSegmentation may have another ending by default.
    folder = os.path.join(root, prefix.get('img_path') or '')
    suffix = dataset.get('img_suffix', '.jpg')
    if type_of(dataset) != 'BaseSegDataset' or dataset.get('ann_file'):
        return ''
    if os.path.isdir(folder) and not _holds(folder, suffix):
        return f'no image of {folder} ends with {suffix}: name their end as img_suffix'
    return ''


def _who_writes(path: str, layout: str | None) -> str:
    """The command that writes a list of images, on a line of its own; else ''."""
    if not path.endswith('.txt'):
        return ''
    folder = os.path.dirname(path)
    if layout:
        return f'\n`mmaslp prepare {folder} --layout {layout}` writes lists of images'
    return f'\n`mmaslp prepare {folder}` writes lists of images'


def _holds(folder: str, suffix: str) -> bool:
    """Whether a file in a folder, however deep, ends so."""
    for _, _, names in os.walk(folder, followlinks=True):
        if any(name.endswith(suffix) for name in names):
            return True
    return False
