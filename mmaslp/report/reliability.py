"""Reliability diagrams: gap bars, intervals, confidence histogram, main metrics."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.measure import BinTable, signed_gap
from ..files.atomic_write import atomic_write
from ..files.names import shown
from .style import BAR, FADED, INK, LABEL, OVER, TITLE, UNDER, clean_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ('.png', '.pdf', '.svg')


def reliability_figure(
    results: Mapping[str, dict[str, Any]], width: float = 3.3
) -> Figure:
    """Draw one reliability diagram per result, side by side.

    Per bin, the coloured part spans accuracy and mean confidence: red on top of the
    accuracy where the model is over-confident, blue below it where it is
    under-confident. Whiskers
    are 95 % bootstrap intervals of the accuracy over images, if the result has them.
    Below, the share of the pixels per bin with the mean accuracy and mean confidence.

    Args:
        results (dict[str, dict]): Title to result, as
            :func:`~mmaslp.files.results.calibration_result` makes them. An empty
            evaluation gives an empty diagram.
        width (float): Width of one diagram in inches. Defaults to 3.3.

    Returns:
        matplotlib.figure.Figure: Not registered with pyplot.

    Raises:
        ValueError: ``results`` is empty.
    """
    if not results:
        raise ValueError('a reliability diagram needs at least one result')
    figure = new_figure(width * len(results), 4.4, layout='constrained')
    axes = figure.subplots(
        2, len(results), squeeze=False, height_ratios=(3.2, 1), sharex='col'
    )
    for column, (title, result) in enumerate(results.items()):
        top, bottom = axes[:, column]
        _draw_bars(top, result)
        _draw_shares(bottom, result)
        top.set_title(shown(title), pad=25, **TITLE)
        top.text(
            0.5,
            1.02,
            _headline(result),
            transform=top.transAxes,
            ha='center',
            va='bottom',
            fontsize=7,
            color=INK,
            linespacing=1.3,
        )
        if column == 0:
            positive = result['settings']['mode'] == 'positive'
            name = 'share of foreground' if positive else 'accuracy'
            top.set_ylabel(name, **LABEL)
            bottom.set_ylabel('pixels', **LABEL)
    figure.legend(
        handles=_legend(any('low' in each['bins'] for each in results.values())),
        loc='outside lower center',
        ncols=2 if len(results) == 1 else 6,
        fontsize=6.5,
        frameon=False,
        labelcolor=INK,
        columnspacing=1.2,
    )
    return figure


def save_figure(figure: Figure, path: str | Path, dpi: int = 200) -> None:
    """Write a figure as PNG, PDF or SVG, by the suffix of the path, in one piece.

    Args:
        figure (matplotlib.figure.Figure): The figure.
        path (str | Path): Where to.
        dpi (int): Dots per inch of a PNG. Defaults to 200.

    Raises:
        ValueError: Another suffix.
        OSError: It cannot be written; names the file.
    """
    if not str(path).lower().endswith(FORMATS):
        raise ValueError(f'{path}: diagrams are written as {", ".join(FORMATS)}')
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi, format=Path(path).suffix[1:].lower())
    atomic_write(path, buffer.getvalue())


def figure_array(figure: Figure, dpi: int = 120) -> np.ndarray:
    """Render a figure to ``(H, W, 3)`` uint8 RGB."""
    figure.set_dpi(dpi)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def result_table(result: dict[str, Any]) -> BinTable:
    """Take the table of the bins out of a result, as arrays."""
    sums = result['bins']
    return BinTable(*(np.array(sums[key]) for key in ('count', 'right', 'conf')))


def _legend(intervals: bool) -> list:
    """Explain every mark, also a sign of gap that this diagram does not contain."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks = [
        Patch(color=BAR, label='accuracy'),
        Patch(facecolor=OVER + FADED, edgecolor=OVER, label='gap, over-confident'),
        Patch(facecolor=UNDER + FADED, edgecolor=UNDER, label='gap, under-confident'),
        Line2D([], [], color=INK, linewidth=1, label='mean accuracy'),
        Line2D([], [], color=INK, linewidth=1, ls=':', label='mean confidence'),
    ]
    if intervals:
        bar = Line2D([], [], color=INK, marker='|', linestyle='', label='95 % interval')
        marks.insert(3, bar)
    return marks


def _draw_bars(axes: Axes, result: dict[str, Any]) -> None:
    table = result_table(result)
    edges = np.linspace(0, 1, len(table.count) + 1)
    filled = table.count > 0
    left, right = edges[:-1][filled], edges[1:][filled]
    middle, width = (left + right) / 2, (right - left) * 0.94
    accuracy, gap = table.accuracy[filled], signed_gap(table)[filled]
    reached = np.minimum(accuracy, accuracy + gap)
    axes.bar(middle, reached, width, color=BAR, zorder=2)
    for sign, colour in ((1, OVER), (-1, UNDER)):
        part = gap * sign > 0
        axes.bar(
            middle[part],
            np.abs(gap)[part],
            width[part],
            reached[part],
            color=colour + FADED,
            edgecolor=colour,
            linewidth=0.8,
            zorder=3,
        )
    if 'low' in result['bins'] and len(middle):
        low, high = (_floats(result['bins'][key])[filled] for key in ('low', 'high'))
        axes.errorbar(
            middle,
            accuracy,
            np.maximum([accuracy - low, high - accuracy], 0),
            fmt='none',
            ecolor=INK,
            elinewidth=0.9,
            capsize=2,
            zorder=4,
        )
    axes.plot([0, 1], [0, 1], '--', color=INK, linewidth=0.9, zorder=5)
    start = min(left.min(), 0.5) if len(left) and left.min() >= 0.4 else 0.0
    axes.set_xlim(start, 1)
    axes.set_ylim(0, 1)
    clean_axes(axes)


def _draw_shares(axes: Axes, result: dict[str, Any]) -> None:
    table = result_table(result)
    edges = np.linspace(0, 1, len(table.count) + 1)
    axes.bar(
        (edges[:-1] + edges[1:]) / 2,
        np.nan_to_num(table.weight),
        np.diff(edges) * 0.94,
        color=BAR,
        zorder=2,
    )
    for key, style in (('acc', '-'), ('conf', ':')):
        if _defined(result[key]):
            axes.axvline(result[key], color=INK, linestyle=style, linewidth=1, zorder=4)
    positive = result['settings']['mode'] == 'positive'
    axes.set_xlabel('probability' if positive else 'confidence', **LABEL)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1], ['0', '50 %', '100 %'])
    clean_axes(axes)


def _headline(result: dict[str, Any]) -> str:
    """Two lines of the metrics that a reader looks for first."""
    first = f'ECE {_text(result["ece"])}'
    low, high = result.get('intervals', {}).get('ece') or (None, None)
    if _defined(low):
        first += f' [{low:.4f}, {high:.4f}]'
    first += f'   OE {_text(result["oe"])}   UE {_text(result["ue"])}'
    second = f'acc {_text(result["acc"])}   conf {_text(result["conf"])}'
    if not result['num_images']:  # of pixels that nobody divided into images
        return f'{first}\n{second}'
    images = f'{result["num_images"]:,} images'
    if 'num_seeds' in result:
        images += f' x {result["num_seeds"]} seeds'
    return f'{first}\n{second}   {images}'


def _text(value: float | None) -> str:
    return f'{value:.4f}' if _defined(value) else '-'


def _defined(value: float | None) -> bool:
    """Whether a number is neither None nor nan."""
    return value is not None and value == value


def _floats(values: Sequence[float | None]) -> np.ndarray:
    return np.array(
        [value if _defined(value) else np.nan for value in values], dtype=float
    )
