"""From the metrics of a validation to what the learner observes."""

import math
from typing import Any

__all__ = ['read_measured']


def read_measured(
    metrics: dict[str, Any], keys: dict[str, str], bands: int
) -> dict[str, Any]:
    """Read what a rule needs.

    Args:
        metrics (dict): What the validation reports.
        keys (dict[str, str]): See ``metric_keys``.
        bands (int): Number of bands of distance from the border; 0 for one level per
            image.

    Returns:
        dict: Arguments of :meth:`ASLP.observe <mmaslp.core.ASLP.observe>`. An accuracy
        above 1 was per cent.

    Raises:
        ValueError: If a metric is missing.
    """
    key = keys['accuracy']
    if key not in metrics:
        raise ValueError(
            f'the validation reports no {key!r} for ASLPHook, only {sorted(metrics)}: '
            'set accuracy_key to one of these'
        )
    measured: dict[str, Any] = {name: float(metrics[k]) for name, k in keys.items()}
    if measured['accuracy'] > 1.0:
        measured['accuracy'] /= 100.0
    if bands and math.isfinite(measured['accuracy']):
        measured.update(_read_regions(metrics, key.removesuffix('acc'), bands))
    return measured


def _read_regions(
    metrics: dict[str, Any], prefix: str, bands: int
) -> dict[str, list[float]]:
    shares = [metrics.get(f'{prefix}band{k}_share') for k in range(bands)]
    if None in shares:
        raise ValueError(
            f'the validation reports no {prefix}band0_share: levels by region need '
            'CalibrationMetric on a head of one channel or two'
        )
    # A band without pixels has neither gap nor accuracy.
    found = {
        f'region_{name}': [
            float(metrics.get(f'{prefix}band{band}_{key}', math.nan))
            for band in range(bands)
        ]
        for name, key in (('gap', 'gap'), ('accuracy', 'acc'))
    }
    return dict(found, region_share=[*map(float, shares)])
