"""Comparing two models on the same images."""

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from ..core.measure import ImageTable
from ..core.measure.bootstrap import resample
from ..core.outputs import check_outputs, write_output
from ..files.results import image_table, load_result, strict_json


def compare_results(
    first: str,
    second: str,
    *,
    names: tuple[str | None, str | None] = (None, None),
    resamples: int = 2000,
    json: str | None = None,
) -> tuple[dict[str, dict[str, Any]], int]:
    """Compare the models of two result files by a paired bootstrap over their images.

    ``names`` choose of files with several models. Returns the metrics, see
    :meth:`~mmaslp.core.measure.bootstrap.Resamples.differences`, and the number of
    images.

    Raises:
        ValueError: A file is not a result file, their images, masks or settings differ,
            or ``json`` is one of them or a file of another kind.
    """
    check_outputs({'--json': (json, 'comparison')}, [first, second])
    one, two = (load_result(*each)[0] for each in zip((first, second), names))
    tables = [sorted_images(each, path) for each, path in ((one, first), (two, second))]
    problem = other_images((one, tables[0]), (two, tables[1])) or other_masks(*tables)
    if problem:
        raise ValueError(f'{first} and {second}: {problem}')
    drawn = [resample(table, resamples) for table in tables]
    metrics = drawn[0].differences(drawn[1])
    if json:
        content = {'format': 'mmaslp comparison', **metrics}
        write_output(json, strict_json(content, 1) + '\n', 'comparison')
    return metrics, len(tables[0])


def rows_by_name(names: Sequence[str]) -> dict[str, int]:
    """Find the row of each image by its stem, or by its path if stems repeat."""
    stems = [PurePath(name).stem for name in names]
    if len(set(stems)) == len(stems):
        names = stems
    if len(set(names)) < len(names):
        raise ValueError('the same image is in it more than once')
    return {name: row for row, name in enumerate(names)}


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
