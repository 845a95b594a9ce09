"""Salient-object measures through PySODMetrics, one small record per image."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

MISSING = (
    'salient-object measures need PySODMetrics, which is not installed: run '
    '`pip install "mmaslp[sod]"`'
)
# An empty mask has no object, so these are undefined there.
NEED_FOREGROUND = ('adp_f', 'f_curve', 'weighted_f')
# What tables show of them.
SOD_COLUMNS = ('mae', 'max_f', 'weighted_f', 'max_e', 's', 'ap', 'auc')


def load_library() -> ModuleType:
    """Import PySODMetrics.

    Returns:
        module: ``py_sod_metrics``.

    Raises:
        ImportError: It is missing; the message says what to install.
    """
    try:
        import py_sod_metrics
    except ImportError as error:
        raise ImportError(MISSING) from error
    return py_sod_metrics


def sod_record(prob: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Measure one image.

    Args:
        prob (np.ndarray): ``(H, W)`` in [0, 1], used unchanged (no stretching).
        mask (np.ndarray): ``(H, W)`` of {0, 1}.

    Returns:
        dict: ``mae``, ``s``, ``adp_f``, ``weighted_f`` and ``adp_e`` (float),
        ``f_curve`` and ``e_curve`` ``(256,)`` over the thresholds from high to low.
        These are nan: the F-measures of an image with an empty mask, the E-measures of
        an image with one pixel, and an S-measure that the library cannot compute (for
        an image that is a few pixels wide).

    Raises:
        ImportError: PySODMetrics is missing.
        ValueError: ``mask`` has values other than 0 and 1.
    """
    library = load_library()
    if not np.isin(mask, (0, 1)).all():
        raise ValueError(
            'salient-object measures look at whole images: they cannot leave ignored '
            f'pixels out, but the mask holds {np.unique(mask).tolist()}'
        )
    handler = library.FmeasureHandler(beta=0.3, with_adaptive=True, with_dynamic=True)
    measures = {
        'mae': library.MAE(),
        'sm': library.Smeasure(),
        'em': library.Emeasure(),
        'wfm': library.WeightedFmeasure(),
        'fm': library.FmeasureV2({'fm': handler}),
    }
    prob, mask = _snapped(np.clip(prob, 0, 1).astype(np.float64)), mask.astype(bool)
    found = {}
    for measure in measures.values():
        measure.step(prob, mask, normalize=False)
        found.update(measure.get_results())
    record = {
        'mae': float(found['mae']),
        's': float(found['sm']),
        'weighted_f': float(found['wfm']),
        'adp_f': float(found['fm']['adaptive']),
        'f_curve': np.asarray(found['fm']['dynamic'], dtype=np.float64),
        'adp_e': float(found['em']['adp']),
        'e_curve': np.asarray(found['em']['curve'], dtype=np.float64),
    }
    if not mask.any():
        record.update({key: record[key] * np.nan for key in NEED_FOREGROUND})
    if mask.size < 2:  # the library divides by the number of pixels minus one
        record.update({key: record[key] * np.nan for key in ('adp_e', 'e_curve')})
    return record


def _snapped(prob: np.ndarray) -> np.ndarray:
    """Set values within float32 rounding of k / 255 to k / 255.

    The library truncates ``prob * 255`` to an integer. So an 8-bit value that lost its
    last bit would fall one threshold lower.
    """
    value = np.rint(prob * 255)
    return np.where(np.abs(prob * 255 - value) < 1e-4, value / 255, prob)


def sod_metrics(records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Average the records as the field does.

    Args:
        records (Sequence[dict]): As :func:`sod_record` made them.

    Returns:
        dict[str, float]: ``mae``, ``max_f``, ``mean_f``, ``adp_f``, ``weighted_f``,
        ``max_e``, ``mean_e``, ``adp_e``, ``s``. The curves are averaged over images
        before the maximum is taken. The mean of a measure leaves out images where it is
        nan (an empty mask has no F-measures). If it is nan in all images, so is the
        mean.
    """
    means = {}
    keys = ('mae', 's', 'weighted_f', 'adp_f', 'f_curve', 'adp_e', 'e_curve')
    for key in keys:
        rows = np.array([record[key] for record in records], dtype=np.float64)
        rows = (
            rows[~np.isnan(rows).reshape(len(rows), -1).any(1)] if len(rows) else rows
        )
        means[key] = rows.mean(0) if len(rows) else np.nan
    return {
        'mae': float(means['mae']),
        'max_f': float(np.max(means['f_curve'])),
        'mean_f': float(np.mean(means['f_curve'])),
        'adp_f': float(means['adp_f']),
        'weighted_f': float(means['weighted_f']),
        'max_e': float(np.max(means['e_curve'])),
        'mean_e': float(np.mean(means['e_curve'])),
        'adp_e': float(means['adp_e']),
        's': float(means['s']),
    }
