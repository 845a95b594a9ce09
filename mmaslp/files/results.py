"""The result of one evaluation as a dictionary and as a JSON file."""

import math
from pathlib import Path
from typing import Any

from ..core.measure import (
    BAND_ERRORS,
    BORDERS,
    CalibrationHistogram,
    ImageBands,
    ImageTable,
    band_columns,
    band_scalars,
    binned_metrics,
    equal_width,
)
from ..core.measure.bootstrap import bootstrap
from .atomic_write import atomic_write
from .json_file import read_json
from .result_checks import check_figures, check_settings
from .strict_json import strict_json

# What the edges of bands count in, see `core.bands`.
BAND_UNIT = 'sqrt(height * width) / 64 pixels'
# Largest result file that is read: 2 to 5 KB per image.
MAX_BYTES = 2**28


def calibration_result(
    histogram: CalibrationHistogram,
    images: ImageTable,
    *,
    bins: int = 10,
    mode: str = 'top_label',
    resamples: int = 1000,
    settings: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Collect every metric of an evaluation.

    Args:
        histogram (CalibrationHistogram): Of all pixels.
        images (ImageTable): One row per image, in the same mode and bins. If the rows
            have bands, so has the result.
        bins (int): Number of bins. Defaults to 10.
        mode (str): 'top_label' or 'positive'. Defaults to 'top_label'.
        resamples (int): Bootstrap resamples for the intervals; 0 for none.
            Defaults to 1000.
        settings (dict, optional): Other settings of the evaluation. Defaults to None.

    Returns:
        dict: At top level every metric of :meth:`CalibrationHistogram.compute` (its
        ``count`` as ``num_pixels``), ``ece_image`` and ``num_images``; then
        ``positive`` (the metrics of the positive class, for two classes in
        top-label mode), ``bands`` (see :func:`band_result`, for two classes in
        top-label mode; at top level ``ece_band``, ``ece_band_true`` and, per band
        k of the predicted border, ``band{k}_gap``, ``band{k}_acc`` and
        ``band{k}_share``),
        ``intervals`` ({metric: [low, high]}, 95 %, see
        :func:`~mmaslp.core.measure.bootstrap.bootstrap`), ``bins``, ``images``
        (:meth:`ImageTable.to_json`) and ``settings``.
    """
    metrics = histogram.compute(bins, mode)
    count = int(metrics.pop('count'))
    table = equal_width(histogram.score_table(mode), bins)
    result: dict[str, Any] = {
        **metrics,
        'ece_image': images.mean_ece(),
        'num_images': len(images),
        'num_pixels': count,
        'bins': {
            'count': table.count.tolist(),
            'right': table.correct.tolist(),
            'conf': table.conf.tolist(),
        },
        'images': images.to_json(),
        'settings': {**(settings or {}), 'bins': bins, 'mode': mode},
    }
    if mode == 'top_label' and histogram.num_classes == 2:
        result['positive'] = histogram.compute(bins, 'positive')
        if images.bands is not None:
            result.update(band_result(images.bands))
    if resamples:
        drawn = bootstrap(images, resamples, overall=metrics)
        result['intervals'] = {k: list(v) for k, v in drawn['intervals'].items()}
        result['bins']['low'], result['bins']['high'] = drawn['bins'].tolist()
        result['settings']['resamples'] = resamples
    return result


def band_result(images: ImageBands) -> dict[str, Any]:
    """Put calibration by band together, pooled over all images.

    Args:
        images (ImageBands): One row per image.

    Returns:
        dict: ``ece_band`` and ``ece_band_true``, nan without any pixel;
        ``band{k}_share`` and, of the bands that hold pixels, ``band{k}_gap`` and
        ``band{k}_acc``, by the predicted border; and ``bands``:
        ``edges`` of the bands, ``unit`` (the rule that scales them) and, for
        ``predicted`` and ``true``, one list per column: the sums ``count``, ``right``
        (correct pixels) and ``conf``, as in ``bins``, then ``share``, ``accuracy``,
        ``confidence`` and ``gap``, nan where there is no
        pixel.
    """
    tables = [images.pooled().take(border) for border in range(len(BORDERS))]
    result: dict[str, Any] = {
        key: float(binned_metrics(table)['ece'])
        for key, table in zip(BAND_ERRORS, tables)
    }
    scalars = band_scalars(tables[0])
    result.update((k, value) for k, value in scalars.items() if not math.isnan(value))
    result['bands'] = {'edges': list(images.edges), 'unit': BAND_UNIT}
    for border, table in zip(BORDERS, tables):
        result['bands'][border] = {
            'count': table.count.tolist(),
            'right': table.correct.tolist(),
            'conf': table.conf.tolist(),
            **band_columns(table),
        }
    return result


def scalar_metrics(result: dict[str, Any]) -> dict[str, float]:
    """Return the metrics at top level, {name: float}."""
    return {key: value for key, value in result.items() if isinstance(value, float)}


def save_result(path: str | Path, result: dict[str, Any]) -> None:
    """Write a result as strict JSON in one step; undefined metrics become null.

    Args:
        path (str | Path): Where to; the folder is made if needed.
        result (dict): As :func:`calibration_result` returned it.
    """
    atomic_write(path, strict_json(result, indent=1) + '\n')


def load_result(
    path: str | Path, name: str | None = None
) -> tuple[dict[str, Any], ImageTable]:
    """Read a result and its table of images.

    Args:
        path (str | Path): A file that :func:`save_result` wrote.
        name (str, optional): Which of several results of one file to take. Defaults to
            None: the file holds one.

    Returns:
        tuple[dict, ImageTable]: The result and its images.

    Raises:
        ValueError: It is not such a file, or was edited; or ``name`` is none of it. The
            message names the file.
    """
    try:
        content = read_json(path, MAX_BYTES)
    except OSError as error:
        raise ValueError(f'{path}: cannot be read ({error.strerror})') from error
    except ValueError as error:
        raise _no_result(path, error) from error
    result = _choose(path, content, name)
    try:
        if 'regions' in result or 'regions' in result['images']:
            raise ValueError('version 0.2 wrote it: evaluate the model again')
        bins = check_settings(result['settings'])
        images = ImageTable.from_json(result['images'], bins)
        check_figures(result, images)
    except BROKEN as error:
        raise _no_result(path, error) from error
    return result, images


# What the types of an edited file may lead to.
BROKEN = (AttributeError, KeyError, OverflowError, TypeError, ValueError)


def _choose(path: str | Path, content: Any, name: str | None) -> Any:
    """Take one result of a file that may hold those of several folders."""
    one = isinstance(content, dict) and 'images' in content
    several = isinstance(content, dict) and not one and bool(content)
    several = several and all(
        isinstance(each, dict) and 'images' in each for each in content.values()
    )
    if not several:
        if one and name is not None:
            raise ValueError(f'{path}: holds one result, which has no name {name!r}')
        return content
    if name not in content:
        known = ', '.join(map(repr, content))
        missing = 'choose one' if name is None else f'there is no {name!r}'
        raise ValueError(f'{path}: holds several results: {known}; {missing} (--name)')
    return content[name]


def _no_result(path: str | Path, error: Exception) -> ValueError:
    return ValueError(
        f'{path}: is no result file of mmaslp ({type(error).__name__}: {error}); '
        'make one with CalibrationMetric or `mmaslp eval-maps --json`'
    )
