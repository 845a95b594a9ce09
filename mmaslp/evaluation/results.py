"""The result of one evaluation as a dictionary and as a JSON file."""

import json
import math
from pathlib import Path
from typing import Any

from ..core.calibration import (
    BORDERS,
    REGION_ERRORS,
    CalibrationHistogram,
    ImageRegions,
    ImageTable,
    equal_width,
)
from ..core.calibration.bootstrap import bootstrap
from ..utils.atomic_write import atomic_write
from ..utils.strict_json import strict_json

# What the edges of regions count in, see `core.regions`.
REGION_UNIT = 'sqrt(height * width) / 64 pixels'


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
            have regions, so has the result.
        bins (int): Number of bins. Defaults to 10.
        mode (str): 'top_label' or 'positive'. Defaults to 'top_label'.
        resamples (int): Bootstrap resamples for the intervals; 0 for none.
            Defaults to 1000.
        settings (dict, optional): Other settings of the evaluation. Defaults to None.

    Returns:
        dict: At top level every metric of :meth:`CalibrationHistogram.compute` (its
        ``count`` as ``num_pixels``), ``ece_image`` and ``num_images``; then
        ``positive`` (the metrics of the positive class, for two classes in
        top-label mode), ``regions`` (see :func:`region_result`, for two classes in
        top-label mode; at top level ``ece_region``, ``ece_region_true`` and, per band
        k of the predicted border, ``region{k}_gap`` and ``region{k}_share``),
        ``intervals`` ({metric: [low, high]}, 95 %, see
        :func:`~mmaslp.core.calibration.bootstrap.bootstrap`), ``bins``, ``images``
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
        if images.regions is not None:
            result.update(region_result(images.regions))
    if resamples:
        drawn = bootstrap(images, resamples, overall=metrics)
        result['intervals'] = {k: list(v) for k, v in drawn['intervals'].items()}
        result['bins']['low'], result['bins']['high'] = drawn['bins'].tolist()
        result['settings']['resamples'] = resamples
    return result


def region_result(images: ImageRegions) -> dict[str, Any]:
    """Put calibration by region together, pooled over all images.

    Args:
        images (ImageRegions): One row per image.

    Returns:
        dict: ``ece_region`` and ``ece_region_true``, nan without any pixel;
        ``region{k}_share`` and, of the bands that hold pixels, ``region{k}_gap``, by
        the predicted border; and ``regions``:
        ``edges`` of the bands, ``unit`` (the rule that scales them) and, for
        ``predicted`` and ``true``, one list per column: the sums ``count``, ``right``
        (correct pixels) and ``conf``, as in ``bins``, then ``share``, ``accuracy``,
        ``confidence`` and ``gap`` of :meth:`RegionTable.compute`, nan where there is no
        pixel.
    """
    table = images.total()
    computed = table.compute()
    result = {key: computed[key] for key in REGION_ERRORS}
    for key in ('gap', 'share'):
        for band, value in enumerate(computed['predicted'][key]):
            if not math.isnan(value):
                result[f'region{band}_{key}'] = value
    regions: dict[str, Any] = {'edges': list(images.edges), 'unit': REGION_UNIT}
    for border in BORDERS:
        sums = table.table(border)
        regions[border] = {
            'count': sums.count.tolist(),
            'right': sums.correct.tolist(),
            'conf': sums.conf.tolist(),
            **computed[border],
        }
    return {**result, 'regions': regions}


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


def load_result(path: str | Path) -> tuple[dict[str, Any], ImageTable]:
    """Read a result and its table of images.

    Args:
        path (str | Path): A file that :func:`save_result` wrote.

    Returns:
        tuple[dict, ImageTable]: The result and its images.

    Raises:
        ValueError: It is not such a file; the message names it.
    """
    try:
        result = json.loads(Path(path).read_text(encoding='utf-8'))
        images = ImageTable.from_json(result['images'], result['settings']['bins'])
    except OSError as error:
        raise ValueError(f'{path}: cannot be read ({error.strerror})') from error
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path}: is no result file of mmaslp ({type(error).__name__}: {error}); '
            'make one with CalibrationMetric or tools/eval_maps.py --json'
        ) from error
    return result, images
