"""Reliability diagrams: accuracy against confidence, and how many pixels have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.measure import BinTable, signed_gap
from .panels import (
    add_legend,
    add_title,
    columns,
    draw_gaps,
    draw_shares,
    line_mark,
    with_interval,
)
from .style import BAR, INK, LABEL
from .text_table import metric_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ['reliability_figure']


def reliability_figure(
    results: Mapping[str, dict[str, Any]], width: float = 3.4
) -> Figure:
    """Draw one reliability diagram per result, side by side.

    Per bin, the coloured part spans accuracy and mean confidence: red on top of the
    accuracy where the model is over-confident, blue below it where it is
    under-confident. Whiskers are 95 % bootstrap intervals of the accuracy over images,
    if the result has them. Below, the share of the pixels per bin with the mean
    accuracy and mean confidence.

    Args:
        results (dict[str, dict]): Title to result, as
            :func:`~mmaslp.files.results.calibration_result` makes them. An empty
            evaluation gives an empty diagram.
        width (float): Width of one diagram in inches. Defaults to 3.4.

    Returns:
        matplotlib.figure.Figure: Not registered with pyplot.

    Raises:
        ValueError: ``results`` is empty.
    """
    if not results:
        raise ValueError('a reliability diagram needs at least one result')
    figure, axes = columns(len(results), width)
    for (top, bottom), (title, result) in zip(axes.T, results.items()):
        _draw(top, bottom, result)
        add_title(top, title, _headline(result))
    positive = result['settings']['mode'] == 'positive'
    outcome = 'share of foreground' if positive else 'accuracy (share of right pixels)'
    axes[0, 0].set_ylabel(outcome, **LABEL)
    axes[1, 0].set_ylabel('% of pixels', **LABEL)
    marks = [line_mark('perfect', '--'), _bar_mark(outcome.split(' (')[0])]
    if any('low' in each['bins'] for each in results.values()):
        marks.append(line_mark('95 % interval', '', '|', 8))
    marks += [line_mark('mean accuracy'), line_mark('mean confidence', ':')]
    add_legend(figure, marks, len(results))
    return figure


def _draw(top: Axes, bottom: Axes, result: dict[str, Any]) -> None:
    sums = result['bins']
    table = BinTable(*(np.array(sums[key]) for key in ('count', 'right', 'conf')))
    filled = table.count > 0
    side = 1 / len(filled)
    left = np.arange(len(filled))[filled] * side
    middle, width = left + side / 2, side * 0.94
    accuracy = table.accuracy[filled]
    confidence = accuracy + signed_gap(table)[filled]
    top.bar(middle, np.minimum(accuracy, confidence), width, color=BAR, zorder=2)
    draw_gaps(top, middle, width, accuracy, confidence)
    if 'low' in sums:
        low, high = (np.array(sums[key], float)[filled] for key in ('low', 'high'))
        top.errorbar(
            middle,
            accuracy,
            np.maximum([accuracy - low, high - accuracy], 0),
            fmt='none',
            ecolor=INK,
            elinewidth=0.9,
            capsize=2,
            zorder=4,
        )
    start = min(left.min(), 0.5) if len(left) and left.min() >= 0.4 else 0.0
    top.plot([start, 1], [start, 1], '--', color=INK, linewidth=0.9, zorder=5)
    top.set_xlim(start, 1)
    top.set_ylim(0, 1)
    draw_shares(bottom, middle, width, table.weight[filled])
    for key, style in (('acc', '-'), ('conf', ':')):
        if metric_text(result[key]) != '-':
            bottom.axvline(result[key], color=INK, linestyle=style, linewidth=1)
    positive = result['settings']['mode'] == 'positive'
    name = 'probability of foreground' if positive else 'confidence in the prediction'
    bottom.set_xlabel(name, **LABEL)


def _bar_mark(label: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=BAR, label=label)


def _headline(result: dict[str, Any]) -> list[str]:
    """What is seen, and the metrics that a reader looks for first."""
    seen = with_interval(result, 'ece', 'ECE')
    if result['num_images']:  # else of pixels that nobody divided into images
        seen += f', {result["num_images"]:,} images'
        if 'num_seeds' in result:
            seen += f' x {result["num_seeds"]} seeds'
    acc, conf = (metric_text(result[key]) for key in ('acc', 'conf'))
    return [
        'accuracy by confidence',
        seen,
        f'accuracy {acc}, confidence {conf}',
    ]
