"""Whether two results can be compared image by image."""

from typing import Any

import numpy as np

from ..core.measure import ImageTable
from ..files.image_names import rows_by_name
from ..files.results import image_table

__all__ = ['other_images', 'other_masks', 'sorted_images']


def sorted_images(result: dict[str, Any], place: str = '') -> ImageTable:
    """Take the images of a result, sorted by stem, or by path if stems repeat."""
    images = image_table(result)
    try:
        rows = rows_by_name(images.names)
    except ValueError as error:
        place = place or f'{result["model"]}, {result["dataset"]}'
        raise ValueError(f'{place}: {error}') from error
    order = sorted(rows)
    records = [{**images.records[rows[name]], 'name': name} for name in order]
    return ImageTable(records, images.bins)


def other_images(
    one: tuple[dict[str, Any], ImageTable], other: tuple[dict[str, Any], ImageTable]
) -> str:
    """Say which settings or images two results do not share; '' if they share all."""
    (first, images), (second, others) = one, other
    for key in ('bins', 'mode', 'protocol'):
        pair = [each['settings'].get(key) for each in (first, second)]
        if pair[0] != pair[1]:
            return f'{key} is {pair[0]!r} in the first but {pair[1]!r} in the second'
    odd = sorted(set(images.names) ^ set(others.names))
    if odd:
        return (
            f'{len(odd)} images are in one of them only, such as {odd[:3]}: evaluate '
            'both models on the same images'
        )
    return ''


def other_masks(one: ImageTable, other: ImageTable) -> str:
    """Say which masks of images of the same names differ; '' if none does."""
    differ = one.num_pixels != other.num_pixels
    if one.masks is not None and other.masks is not None:
        differ = differ | (one.masks != other.masks)
    if not differ.any():
        return ''
    name = one.names[int(np.argmax(differ))]
    return (
        f'{int(differ.sum())} images have other masks in each result, such as '
        f'{name!r}: evaluate both models with the same masks'
    )
