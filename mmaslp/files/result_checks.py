"""Whether a result file holds what an evaluation could have written."""

import math
from typing import Any

import numpy as np

from ..core.argument_checks import check_choice, check_integer, check_number, optional
from ..core.measure import (
    BORDERS,
    MODES,
    BinTable,
    ImageTable,
    binned_metrics,
    check_bins,
)

__all__ = ['check_figures', 'check_settings']

# Metrics that are fractions, as far as a file has them.
FRACTIONS = (
    *('acc', 'conf', 'ece', 'oe', 'ue', 'mce', 'ace', 'ece_em', 'ece_sweep', 'ks'),
    *('ece_image', 'ece_band', 'ece_band_true', 'brier'),
)
# Metrics that follow from the bins, and the error of adding up images for them.
FROM_BINS = ('acc', 'conf', 'ece', 'oe', 'ue')
TOLERANCE = 1e-6


def check_settings(settings: dict[str, Any]) -> int:
    """Check what says how to read the rest.

    Args:
        settings (dict): ``settings`` of a result.

    Returns:
        int: Number of bins.

    Raises:
        ValueError: If the bins or the mode are none.
    """
    check_bins(settings['bins'])
    check_choice('mode', settings.get('mode', 'top_label'), MODES)
    return int(settings['bins'])


def check_figures(result: dict[str, Any], images: ImageTable) -> None:
    """Compare the figures of a result with their ranges and with its images.

    Args:
        result (dict): As :func:`~mmaslp.files.results.calibration_result` returned
            it; files of earlier versions lack some keys.
        images (ImageTable): Its images.

    Raises:
        ValueError: If a figure is out of its range, or is not that of the images.
    """
    for key in FRACTIONS:
        optional(check_number, key, result.get(key), at_least=0, at_most=1)
    optional(check_number, 'nll', result.get('nll'), at_least=0)
    for key, value in result.items():
        if isinstance(value, float):
            check_number(key, value)
    for key, (low, high) in result.get('intervals', {}).items():
        if low is None and high is None:
            continue
        check_number(f'the interval of {key}', high, at_least=check_number(key, low))
    own = images.table.pooled()
    for key, number in (('num_images', len(images)), ('num_pixels', own.count.sum())):
        if result.get(key, number) != number:
            raise ValueError(f'{key} is {result[key]!r}, but its images are {number}')
    if 'bins' in result:
        _check_sums('bins', result['bins'], own)
    if images.bands is not None and 'bands' in result:
        for row, border in enumerate(BORDERS):
            of_border = result['bands'][border]
            own_bands = images.bands.pooled().take(row)
            _check_sums(f'bands[{border!r}]', of_border, own_bands)
    computed = binned_metrics(own)
    for key in FROM_BINS:
        given = result.get(key)
        expected = float(computed[key])
        if given is not None and not abs(given - expected) <= TOLERANCE:
            raise ValueError(f'{key} is {given!r}, but its bins give {expected:.6f}')


def _check_sums(place: str, table: dict[str, Any], own: BinTable) -> None:
    """Compare the sums of a file with those over all images."""
    for key, sums in (('count', own.count), ('right', own.correct), ('conf', own.conf)):
        given = table[key]
        for each in given:
            check = check_number if key == 'conf' else check_integer
            check(f'{key} of {place}', each, at_least=0)
        same = len(given) == len(sums) and all(
            math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
            for one, other in zip(given, np.asarray(sums).tolist())
        )
        if not same:
            raise ValueError(f'{key} of {place} is not that of the images together')
