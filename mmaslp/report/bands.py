"""Confidence and accuracy against the distance from a border."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.measure import BAND_ERRORS, BORDERS
from ..files.names import shown
from .style import BAR, FADED, INK, LABEL, OVER, TITLE, UNDER, clean_axes, new_figure
from .text_table import metric_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def band_names(edges: Sequence[float]) -> list[str]:
    """Name each band by its edges, that at the border first.

    Args:
        edges (Sequence[float]): Upper edges of all bands but the last.

    Example:
        >>> band_names([1.0, 2.0])
        ['up to 1', '1 to 2', 'beyond 2']
    """
    inner = [f'{low:g} to {high:g}' for low, high in pairwise(edges)]
    return [f'up to {edges[0]:g}', *inner, f'beyond {edges[-1]:g}']


def band_figure(
    results: Mapping[str, dict[str, Any]],
    width: float = 3.3,
    borders: Sequence[str] = BORDERS,
) -> Figure:
    """Draw accuracy and mean confidence of every band of distance from a border.

    A diagram per result and border: distance from the predicted or the true one. The
    coloured part spans accuracy and confidence: red where the band is over-confident,
    blue where it is under-confident. Below, the share of the pixels per band.

    Args:
        results (dict[str, dict]): Title to result with ``bands``, as
            :func:`~mmaslp.files.results.calibration_result` makes them. An empty
            evaluation gives an empty diagram.
        width (float): Width of one diagram in inches. Defaults to 3.3.
        borders (Sequence[str]): Some of ``BORDERS``. Defaults to both.

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
                'top-label mode, and not in files of earlier versions'
            )
    columns = [(title, border) for title in results for border in borders]
    figure = new_figure(width * len(columns), 4.4, layout='constrained')
    axes = figure.subplots(
        2, len(columns), squeeze=False, height_ratios=(3.2, 1), sharex='col'
    )
    lowest = min(_lowest(results[title]['bands'][b]) for title, b in columns)
    for (top, bottom), (title, border) in zip(axes.T, columns):
        result = results[title]
        bands = {
            key: np.array(values, dtype=float)
            for key, values in result['bands'][border].items()
        }
        _draw_gaps(top, bands)
        top.set_ylim(lowest, 1.02 - 0.02 * lowest)
        _draw_shares(bottom, bands, result['bands']['edges'])
        bottom.set_xlabel(
            f'distance from the {border} border\nin units of √(height · width) / 64 px',
            **LABEL,
        )
        top.set_title(shown(title), pad=16, **TITLE)
        top.text(
            0.5,
            1.02,
            _headline(result, dict(zip(BORDERS, BAND_ERRORS))[border]),
            transform=top.transAxes,
            ha='center',
            va='bottom',
            fontsize=7,
            color=INK,
        )
    axes[0, 0].set_ylabel('accuracy, confidence', **LABEL)
    axes[1, 0].set_ylabel('pixels', **LABEL)
    figure.legend(
        handles=_legend(),
        loc='outside lower center',
        ncols=4,
        fontsize=6.5,
        frameon=False,
        labelcolor=INK,
        columnspacing=1.2,
    )
    return figure


def _legend() -> list:
    """Explain every mark, also gaps of a sign that this diagram happens not to have."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Line2D([], [], color=INK, marker='o', markersize=3, label='accuracy'),
        Line2D([], [], color=INK, marker='o', markersize=3, ls=':', label='confidence'),
        Patch(facecolor=OVER + FADED, edgecolor=OVER, label='gap, over-confident'),
        Patch(facecolor=UNDER + FADED, edgecolor=UNDER, label='gap, under-confident'),
    ]


def _lowest(bands: dict[str, Any]) -> float:
    """Where the vertical axis begins: the twentieth below all that is drawn."""
    values = [
        value
        for key in ('accuracy', 'confidence')
        for value in bands[key]
        if value is not None and value == value
    ]
    return max(np.floor(min(values, default=0.5) * 20 - 0.2) / 20, 0)


def _draw_gaps(axes: Axes, bands: dict[str, np.ndarray]) -> None:
    """Lines over the bands that hold pixels, and the gaps between them."""
    place = np.flatnonzero(bands['count'] > 0)
    accuracy, conf = bands['accuracy'][place], bands['confidence'][place]
    for sign, colour in ((1, OVER), (-1, UNDER)):
        part = (conf - accuracy) * sign > 0
        axes.bar(
            place[part],
            np.abs(conf - accuracy)[part],
            0.5,
            np.minimum(conf, accuracy)[part],
            color=colour + FADED,
            edgecolor=colour,
            linewidth=0.8,
            zorder=3,
        )
    for values, style in ((accuracy, '-'), (conf, ':')):
        axes.plot(
            place, values, style, color=INK, marker='o', ms=3, linewidth=1, zorder=4
        )
    clean_axes(axes)


def _draw_shares(
    axes: Axes, bands: dict[str, np.ndarray], edges: Sequence[float]
) -> None:
    names = band_names(edges)
    axes.bar(
        range(len(names)), np.nan_to_num(bands['share']), 0.94, color=BAR, zorder=2
    )
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ['0', '50 %', '100 %'])
    clean_axes(axes)


def _headline(result: dict[str, Any], key: str) -> str:
    text = f'{key} {metric_text(result[key])}'
    low, high = result.get('intervals', {}).get(key) or (None, None)
    if metric_text(low) != '-':
        text += f' [{low:.4f}, {high:.4f}]'
    return text
