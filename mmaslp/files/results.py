"""The result of an evaluation, and the JSON file of one or several."""

import hashlib
import json
import math
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..common.arguments import check_choice
from ..common.bands import BORDER_EDGES
from ..common.outputs import write_output
from ..metrics.band_table import BORDERS, band_columns, band_scalars
from ..metrics.bins import BinTable, check_bins
from ..metrics.bootstrap import check_resamples, resample
from ..metrics.figures import (
    BAND_ERRORS,
    binned_error,
    brier_decomposition,
    figures_of_images,
)
from ..metrics.histogram import MODES, CalibrationHistogram
from ..metrics.image_table import ImageTable
from .images import check_plain_file


def mask_checksum(label: np.ndarray | Tensor) -> int:
    """CRC-32 of a mask: of its size and its labels as bytes."""
    array = (
        label.byte().cpu().numpy() if isinstance(label, Tensor) else np.asarray(label)
    )
    size = zlib.crc32(str(array.shape).encode())
    return zlib.crc32(np.ascontiguousarray(array, np.uint8), size)


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


# A file of another version is refused: evaluate the model again.
FORMAT = 'mmaslp result 3'
# What the edges of bands count in, see :mod:`mmaslp.common.bands`.
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
    model: str = '',
    dataset: str = '',
) -> dict[str, Any]:
    """Collect every metric of an evaluation."""
    metrics = histogram.compute(bins, mode)
    settings = {**(settings or {}), 'bins': bins, 'mode': mode}
    if resamples:
        settings['resamples'] = resamples

    result: dict[str, Any] = {
        'format': FORMAT,
        'model': model,
        'dataset': dataset,
        **derived_figures(images, resamples),
        **metrics,
        'num_pixels': int(metrics['count']),
        'images': images.to_json(),
        'settings': settings,
    }
    del result['count']
    if mode == 'top_label' and histogram.num_classes == 2:
        result['positive'] = histogram.compute(bins, 'positive')
    return result


def derived_figures(images: ImageTable, resamples: int = 0) -> dict[str, Any]:
    """Compute what the table of images tells of a result.

    A file stores these figures for people; whoever reads it computes them anew.
    """
    table = images.table.pooled()
    figures = figures_of_images(images)
    found: dict[str, Any] = {key: float(value) for key, value in figures.items()}
    parts = brier_decomposition(table, found['brier'])
    found |= {key: float(value) for key, value in parts.items()}
    found |= dict(num_images=len(images), num_pixels=int(table.total))
    found['bins'] = _columns(table)
    if images.bands is not None:
        found |= band_result(images.bands)

    if resamples:
        drawn = resample(images, resamples)
        found['intervals'] = {k: drawn.interval(k).tolist() for k in drawn.metrics}
        found['bins']['low'], found['bins']['high'] = drawn.interval('bins').tolist()
    return found


def band_result(images: BinTable) -> dict[str, Any]:
    """Put calibration by band together, pooled over all images."""
    tables = [images.pooled().take(border) for border in range(len(BORDERS))]
    result: dict[str, Any] = {
        key: float(binned_error(table)) for key, table in zip(BAND_ERRORS, tables)
    }
    scalars = band_scalars(tables[0])
    result.update((k, value) for k, value in scalars.items() if not math.isnan(value))
    result['bands'] = {'edges': list(BORDER_EDGES), 'unit': BAND_UNIT}
    for border, table in zip(BORDERS, tables):
        result['bands'][border] = {**_columns(table), **band_columns(table)}
    return result


def _columns(table: BinTable) -> dict[str, list]:
    return {
        'count': table.count.tolist(),
        'right': table.correct.tolist(),
        'conf': table.conf.tolist(),
    }


def scalar_metrics(result: dict[str, Any]) -> dict[str, float]:
    """Return the metrics at top level, {name: float}."""
    return {key: value for key, value in result.items() if isinstance(value, float)}


def save_result(
    path: str | Path,
    content: dict[str, Any] | Sequence[dict[str, Any]],
    indent: int | None = 1,
) -> None:
    """Write a result, or a list of them, as strict JSON in one step; nan becomes null.

    The folder is made if needed. ``indent`` None gives the shortest file.
    """
    write_output(path, strict_json(content, indent) + '\n', 'result')


def strict_json(value: Any, indent: int | None = None) -> str:
    """Write a value as JSON; numbers that are not finite become null."""
    separators = (',', ':') if indent is None else None
    value = _finite(value)
    return json.dumps(value, allow_nan=False, indent=indent, separators=separators)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def load_results(path: str | Path) -> list[dict[str, Any]]:
    """Read the results of a file.

    A result without names gets them from ``{model}/eval/{set}/calibration_test.json``,
    or from the name of the file.

    Raises:
        ValueError: It cannot be read, is not such a file, or is of another version of
            the format. The message names the file.
    """
    try:
        check_plain_file(Path(path))
        if os.path.getsize(path) > MAX_BYTES:
            raise ValueError(f'larger than {MAX_BYTES:,} bytes')

        content = json.loads(Path(path).read_bytes())
        results = content if isinstance(content, list) else [content]
        if not results:
            raise ValueError('it is empty')
        return [_checked(each, Path(path).absolute()) for each in results]
    except OSError as error:
        raise ValueError(f'{path}: cannot be read ({error.strerror})') from error
    except (
        AttributeError,
        KeyError,
        OverflowError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        what = f'it lacks {error}' if isinstance(error, KeyError) else error
        raise ValueError(
            f'{path}: is not a result file of mmaslp ({what}); make one with '
            '`mmaslp test` or `mmaslp eval-maps --json`'
        ) from error


def load_result(
    path: str | Path, model: str | None = None
) -> tuple[dict[str, Any], ImageTable]:
    """Read one result and its table of images; of several, that of a model.

    Raises:
        ValueError: See :func:`load_results`; or there are several results, or none of
            this model.
    """
    results = load_results(path)
    found = [each for each in results if model in (None, each['model'])]
    if len(found) != 1:
        known = ', '.join(repr(each['model']) for each in results)
        raise ValueError(
            f'{path}: holds {len(results)} result(s), of {known}: name one (--name)'
        )
    (result,) = found
    return result, image_table(result)


def image_table(result: dict[str, Any]) -> ImageTable:
    """Take the table of images out of a result."""
    return ImageTable.from_json(result['images'], result['settings']['bins'])


def _checked(content: Any, path: Path) -> dict[str, Any]:
    """Check the version, and what is counted, shown and named."""
    if not isinstance(content, dict) or 'images' not in content:
        raise ValueError('it holds something else')
    if content.get('format') != FORMAT:
        raise ValueError('it was written by another version: evaluate the model again')
    check_bins(content['settings']['bins'])
    check_choice('mode', content['settings']['mode'], MODES)
    model, dataset = _place(path, content)
    resamples = check_resamples(content['settings'].get('resamples', 0))
    derived = derived_figures(image_table(content), resamples)
    for picture in content.get('pictures', []):
        for panel in picture['panels'].values():
            # What is not embedded would be an address to fetch.
            if not _text(panel['source']).startswith('data:image/'):
                raise ValueError('a picture is not embedded')

    optional = {'measures': {}, 'pictures': [], 'files': []}
    stored = {**content, 'intervals': {}}
    return optional | stored | derived | {'model': model, 'dataset': dataset}


def _place(path: Path, result: dict[str, Any]) -> tuple[str, str]:
    """Name model and set: as the result does, or by its place."""
    model = _text(result['model'])
    dataset = _text(result['dataset'])
    folder = path.parent
    if path.stem.startswith('calibration_') and folder.parent.name.startswith('eval'):
        return model or folder.parent.parent.name, dataset or folder.name
    return model or path.stem, dataset or 'test'


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f'{value!r} is not a text')
    return value
