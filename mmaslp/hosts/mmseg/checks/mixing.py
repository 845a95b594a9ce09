"""Transforms that make one training image from several."""

import re
from collections.abc import Iterator
from typing import Any

from .findings import Finding
from .parts import class_of, read, type_name, walk_datasets, walk_steps

__all__ = ['mixing', 'mixing_steps']

_NAMES = re.compile(r'mosaic|mix_?up|cut_?mix|copy_?paste|class_?mix', re.IGNORECASE)


def mixing(name: str, asks_for_images: bool, place: str) -> Finding | None:
    """Refuse a transform that mixes images.

    Args:
        name (str): Name of its class.
        asks_for_images (bool): Whether it names other images that it needs
            (``get_indices``, ``get_indexes``).
        place (str): Place of the pipeline in the config.
    """
    if not asks_for_images and not _NAMES.search(name):
        return None
    return Finding(
        'error',
        f'the training pipeline holds {name}, which makes one image of several: a '
        'perturbation level belongs to one image and would be that of a mixture',
        f'{place}: remove {name}\n'
        'or train without ASLPHook (SCBCELoss with a fixed alpha draws by itself)',
    )


def mixing_steps(dataset: Any, preprocessor: Any) -> Iterator[Finding]:
    """Look for transforms that mix images.

    Args:
        dataset (Any): Training set, or its dictionary in a config.
        preprocessor (Any): Data preprocessor of the model, or its dictionary; None
            without one.

    Yields:
        Finding: One for each transform.
    """
    pipelines = [
        (f'{path}.pipeline', read(each, 'pipeline'))
        for path, each in walk_datasets(dataset, 'train_dataloader.dataset')
    ]
    place = 'model.data_preprocessor.batch_augments'
    pipelines.append((place, read(preprocessor, 'batch_augments')))
    for place, pipeline in pipelines:
        for step in walk_steps(pipeline):
            finding = mixing(type_name(step), _asks_for_images(step), place)
            if finding is not None:
                yield finding


def _asks_for_images(step: Any) -> bool:
    kind = class_of(step, 'TRANSFORMS')
    return hasattr(kind, 'get_indices') or hasattr(kind, 'get_indexes')
