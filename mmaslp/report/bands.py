"""Accuracy and confidence by distance from the predicted border."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.bands import BORDER_EDGES
from ..core.calibrators.cells import CENTRES
from ..core.calibrators.lookup import evaluate
from ..core.measure import BinTable, band_columns, binned_metrics
from .panels import (
    add_legend,
    add_title,
    columns,
    draw_gaps,
    draw_shares,
    line_mark,
    with_interval,
)
from .style import INK, LABEL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..core.calibrators import CalibrationTables, Calibrator

__all__ = ['band_figure', 'band_names', 'calibrator_figure']

DISTANCE = 'distance from the predicted border\n(1/64 of the side of the image)'


def band_names(edges: Sequence[float]) -> list[str]:
    """Name each band by its edges, that at the border first."""
    inner = [f'{low:g}–{high:g}' for low, high in pairwise([0, *edges])]
    return [*inner, f'above {edges[-1]:g}']


def band_figure(results: Mapping[str, dict[str, Any]], width: float = 3.4) -> Figure:
    """Draw accuracy and mean confidence of every band, a diagram per result.

    The coloured part spans accuracy and confidence: red where the band is
    over-confident, blue where it is under-confident. Below, the share of the pixels
    per band.

    Args:
        results (dict[str, dict]): Title to result with ``bands``, as
            :func:`~mmaslp.files.results.calibration_result` makes them. An empty
            evaluation gives an empty diagram.
        width (float): Width of one diagram in inches. Defaults to 3.4.

    Returns:
        matplotlib.figure.Figure: Not registered with pyplot.

    Raises:
        ValueError: ``results`` is empty, or one of them has no bands.
    """
    if not results:
        raise ValueError('a diagram of bands needs at least one result')
    for title, result in results.items():
        if 'bands' not in result:
            raise ValueError(
                f'{title} has no bands: they are measured for two classes in '
                'top-label mode'
            )
    figure, axes = columns(len(results), width)
    lowest = 1.0
    for (top, bottom), (title, result) in zip(axes.T, results.items()):
        bands = {
            key: np.array(values, float)
            for key, values in result['bands']['predicted'].items()
        }
        place = np.flatnonzero(bands['count'] > 0)
        accuracy, confidence = bands['accuracy'][place], bands['confidence'][place]
        lowest = min([lowest, *accuracy, *confidence])
        draw_gaps(top, place, 0.5, accuracy, confidence)
        for values, style in ((accuracy, '-'), (confidence, ':')):
            top.plot(place, values, style, color=INK, marker='o', ms=3, lw=1, zorder=4)
        names = band_names(result['bands']['edges'])
        draw_shares(bottom, np.arange(len(names)), 0.94, bands['share'])
        bottom.set_xticks(range(len(names)), names)
        bottom.set_xlim(-0.5, len(names) - 0.5)
        bottom.set_xlabel(DISTANCE, **LABEL)
        what = 'accuracy by distance from the border'
        add_title(top, title, [what, with_interval(result, 'ece_band', 'ECE by band')])
    # The axis begins at the twentieth below all that is drawn.
    start = max(np.floor(lowest * 20 - 0.2) / 20, 0)
    for top in axes[0]:
        top.set_ylim(start, 1.02 - 0.02 * start)
    axes[0, 0].set_ylabel('accuracy and confidence (0 to 1)', **LABEL)
    axes[1, 0].set_ylabel('% of pixels', **LABEL)
    marks = [line_mark('accuracy', '-', 'o'), line_mark('confidence', ':', 'o')]
    add_legend(figure, marks, len(results))
    return figure


def calibrator_figure(calibrator: Calibrator, tables: CalibrationTables) -> Figure:
    """Draw accuracy and confidence of every band, as shipped and calibrated."""
    counts = tables.counts.sum(0).numpy()
    identity = [([0.0, 50.0], [0.0, 50.0])]
    results = {
        title: _bands_of(counts, evaluate(maps, CENTRES, target))
        for title, maps, target in (
            ('as shipped', identity, 'confidence'),
            ('calibrated (images of the fit)', calibrator.maps, calibrator.target),
        )
    }
    return band_figure(results)


def _bands_of(counts: np.ndarray, logit: np.ndarray) -> dict[str, Any]:
    """Result by band of ``(B, CELLS, 2)`` counts and ``(1 or B, CELLS)`` logits."""
    zero, one = counts[..., 0], counts[..., 1]
    total = zero + one
    positive = np.broadcast_to(logit > 0, total.shape)
    conf = (total / (1 + np.exp(-np.abs(logit)))).sum(1)
    table = BinTable(total.sum(1), np.where(positive, one, zero).sum(1), conf)
    columns_of_bands = {'count': table.count, **band_columns(table)}
    return {
        'ece_band': float(binned_metrics(table)['ece']),
        'bands': {'edges': BORDER_EDGES, 'predicted': columns_of_bands},
    }
