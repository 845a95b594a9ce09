"""Comparing two models on the same images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.measure import BAND_ERRORS, SORTED, ImageTable
from ..core.measure.bootstrap import paired_bootstrap
from ..files.image_names import rows_by_name
from ..files.outputs import check_outputs
from ..files.results import load_result, save_result

__all__ = ['Comparison', 'compare_results']


@dataclass
class Comparison:
    """Paired differences of two models.

    Attributes:
        metrics (dict[str, dict]): From metric to ``first``, ``second``, ``difference``
            (second - first), the interval ``low`` and ``high`` of the difference, and
            ``differs``, whether 0 lies outside of it.
        num_images (int): Number of images.
        outdated (dict[str, tuple]): From each file of an earlier version to the metrics
            that it allows no intervals of.
    """

    metrics: dict[str, dict[str, Any]]
    num_images: int
    outdated: dict[str, tuple[str, ...]]


def compare_results(
    first: str,
    second: str,
    *,
    names: tuple[str | None, str | None] = (None, None),
    resamples: int = 2000,
    seed: int = 0,
    confidence_level: float = 0.95,
    json: str | None = None,
) -> Comparison:
    """Compare two result files by a paired bootstrap over their images.

    Args:
        first (str): File of ``CalibrationMetric`` or ``mmaslp eval-maps --json``.
        second (str): File of another model on the same images; may be the same file.
        names (tuple[str | None, str | None]): Which result to take of each file that
            holds those of several folders. Defaults to none: each file holds one.
        resamples (int): Number of resamples, >= 1. Defaults to 2000.
        seed (int): Seed of the resamples. Defaults to 0.
        confidence_level (float): Of the intervals, in (0, 1). Defaults to 0.95.

        json (str, optional): File to write :attr:`Comparison.metrics` to. Defaults to
            None.

    Raises:
        ValueError: A file is no result file, their images or settings differ, or
            ``json`` is one of them or a file of another kind.
        OSError: ``json`` cannot be written.
    """
    check_outputs({'--json': (json, 'comparison')}, [first, second])
    results, tables = _matched((first, second), names)
    one, two = tables
    metrics = paired_bootstrap(
        one, two, resamples, seed, confidence_level, overall=results
    )
    bands = any(table.bands is not None for table in tables)
    outdated = {}
    for path, table in zip((first, second), tables):
        lacking = SORTED if table.fine is None else ()
        if bands and table.bands is None:
            lacking = (*lacking, *BAND_ERRORS)
        if lacking:
            outdated[path] = lacking
    if json:
        save_result(json, metrics)
    return Comparison(metrics, len(one), outdated)


def _matched(
    paths: tuple[str, str], names: tuple[str | None, str | None]
) -> tuple[tuple[dict[str, Any], dict[str, Any]], list[ImageTable]]:
    """Load both results, and their tables with the images in the same order."""
    (one, first), (two, second) = map(load_result, paths, names)
    first_path, second_path = (
        path if name is None else f'{path} ({name})' for path, name in zip(paths, names)
    )
    for key in ('bins', 'mode', 'protocol'):
        if one['settings'].get(key) != two['settings'].get(key):
            raise ValueError(
                f'{key} is {one["settings"].get(key)!r} in {first_path} but '
                f'{two["settings"].get(key)!r} in {second_path}'
            )
    edges = [each.bands.edges for each in (first, second) if each.bands is not None]
    if len(set(edges)) > 1:
        raise ValueError(
            f'the bands of {first_path} have the edges {edges[0]} but those of '
            f'{second_path} {edges[1]}'
        )
    rows = [_rows(first.names, first_path), _rows(second.names, second_path)]
    odd = sorted(rows[0].keys() ^ rows[1].keys())
    if odd:
        raise ValueError(
            f'{len(odd)} images are in one file only, such as {odd[:3]}: evaluate both '
            'models on the same images'
        )
    order = sorted(rows[0])
    tables = [
        images.take([found[name] for name in order])
        for images, found in zip((first, second), rows)
    ]
    for table in tables:
        table.names = order
    pixels = tables[0].num_pixels != tables[1].num_pixels
    if pixels.any():
        name = order[int(pixels.argmax())]
        raise ValueError(f'{name} has another number of pixels in each file')
    return (one, two), tables


def _rows(names: Sequence[str], path: str) -> dict[str, int]:
    try:
        return rows_by_name(names)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
