"""Measures of the salient-object field, by PySODMetrics."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..common.extras import import_extra
from ..metrics.errors import average_precision, roc_auc
from ..metrics.histogram import CalibrationHistogram

# An empty mask has no object, so these are undefined there.
NEED_FOREGROUND = ('adp_f', 'f_curve', 'weighted_f')
# What tables show of them.
SOD_COLUMNS = ('mae', 'max_f', 'weighted_f', 'max_e', 's', 'ap', 'auc')


def sod_record(prob: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Measure one image."""
    library = import_extra('py_sod_metrics', 'sod', 'a salient-object measure')
    if not np.isin(mask, (0, 1)).all():
        raise ValueError(
            'salient-object measures look at whole images: they cannot leave ignored '
            f'pixels out, but the mask contains {np.unique(mask).tolist()}: give masks '
            'of 0 and 1, or leave SODMetric (`evals=sod`) out'
        )

    handler = library.FmeasureHandler(beta=0.3, with_adaptive=True, with_dynamic=True)
    measures = (
        library.MAE(),
        library.Smeasure(),
        library.Emeasure(),
        library.WeightedFmeasure(),
        library.FmeasureV2({'fm': handler}),
    )
    prob = _snapped(np.clip(prob, 0, 1).astype(np.float64))
    mask = mask.astype(bool)
    values: dict[str, Any] = {}
    for measure in measures:
        measure.step(prob, mask, normalize=False)
        values |= measure.get_results()

    record: dict[str, Any] = {
        'mae': float(values['mae']),
        's': float(values['sm']),
        'weighted_f': float(values['wfm']),
        'adp_f': float(values['fm']['adaptive']),
        'f_curve': np.asarray(values['fm']['dynamic'], dtype=np.float64),
        'adp_e': float(values['em']['adp']),
        'e_curve': np.asarray(values['em']['curve'], dtype=np.float64),
    }
    undefined: list[str] = []
    if not mask.any():
        undefined += NEED_FOREGROUND
    if mask.size < 2:  # the library divides by the number of pixels minus one
        undefined += ['adp_e', 'e_curve']
    for key in undefined:
        record[key] = record[key] * np.nan
    return record


def _snapped(prob: np.ndarray) -> np.ndarray:
    """Set values within rounding of k / 255 to it: the library truncates them."""
    value = np.rint(prob * 255)
    return np.where(np.abs(prob * 255 - value) < 1e-4, value / 255, prob)


def sod_metrics(
    records: Sequence[dict[str, Any]], histogram: CalibrationHistogram
) -> dict[str, float]:
    """Average the records as the field does: curves first, then their maximum.

    AP and AUC are pooled over all pixels, of the histogram.
    """
    scores = histogram.pixels().score_table('positive')

    f_curve = _mean(records, 'f_curve')
    e_curve = _mean(records, 'e_curve')
    return {
        'mae': float(_mean(records, 'mae')),
        'max_f': float(np.max(f_curve)),
        'mean_f': float(np.mean(f_curve)),
        'adp_f': float(_mean(records, 'adp_f')),
        'weighted_f': float(_mean(records, 'weighted_f')),
        'max_e': float(np.max(e_curve)),
        'mean_e': float(np.mean(e_curve)),
        'adp_e': float(_mean(records, 'adp_e')),
        's': float(_mean(records, 's')),
        'ap': average_precision(scores),
        'auc': roc_auc(scores),
    }


def _mean(records: Sequence[dict[str, Any]], key: str) -> Any:
    """Mean over the images in which a measure is defined."""
    defined = []
    for record in records:
        if not np.isnan(record[key]).any():
            defined.append(record[key])
    if not defined:
        return np.nan
    return np.mean(defined, axis=0)
