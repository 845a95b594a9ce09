"""What the diagrams of confidence share: columns of panels, gaps, shares, a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .style import (
    BAR,
    FADED,
    INK,
    LABEL,
    LEGEND,
    OVER,
    TITLE,
    UNDER,
    clean_axes,
    new_figure,
    shortened,
)
from .text_table import metric_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 4.4  # inches


def columns(number: int, width: float) -> tuple[Figure, np.ndarray]:
    """Make a figure of ``number`` columns, a tall panel above a low one in each."""
    figure = new_figure(width * number, HEIGHT, layout='constrained')
    axes = figure.subplots(
        2, number, squeeze=False, height_ratios=(3.2, 1), sharex='col'
    )
    for each in axes.flat:
        clean_axes(each)
    return figure, axes


def draw_gaps(
    axes: Axes,
    place: np.ndarray,
    width: np.ndarray | float,
    accuracy: np.ndarray,
    confidence: np.ndarray,
) -> None:
    """Span accuracy and confidence: red above the accuracy, blue below it."""
    gap = confidence - accuracy
    width = np.broadcast_to(width, gap.shape)
    for sign, colour in ((1, OVER), (-1, UNDER)):
        part = gap * sign > 0
        axes.bar(
            place[part],
            np.abs(gap)[part],
            width[part],
            np.minimum(accuracy, confidence)[part],
            color=colour + FADED,
            edgecolor=colour,
            linewidth=0.8,
            zorder=3,
        )


def draw_shares(
    axes: Axes, place: np.ndarray, width: np.ndarray | float, shares: np.ndarray
) -> None:
    """Draw the share of the pixels of every group, in per cent."""
    axes.bar(place, np.nan_to_num(shares) * 100, width, color=BAR, zorder=2)
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 50, 100])


def add_title(axes: Axes, title: str, lines: Sequence[str]) -> None:
    """Write a name above a panel; between them what is seen, and figures."""
    axes.set_title(
        shortened(title, 30), pad=6 + 9.5 * len(lines), fontweight='bold', **TITLE
    )
    for row, line in enumerate(reversed(lines)):
        axes.annotate(
            line,
            (0.5, 1),
            (0, 3 + 9.5 * row),
            xycoords='axes fraction',
            textcoords='offset points',
            ha='center',
            **{**LABEL, 'fontsize': 7},
        )


def add_legend(figure: Figure, marks: Sequence[Any], number: int) -> None:
    """Explain the marks of a figure of ``number`` columns, and the signs of gaps."""
    from matplotlib.patches import Patch

    gaps = [
        Patch(facecolor=OVER + FADED, edgecolor=OVER, label='over-confident'),
        Patch(facecolor=UNDER + FADED, edgecolor=UNDER, label='under-confident'),
    ]
    handles = [*marks, *gaps]
    figure.legend(
        handles=handles,
        loc='outside lower center',
        ncols=min(2 if len(handles) < 5 else 3, len(handles)) * number,
        **LEGEND,
    )


def line_mark(label: str, style: str = '-', marker: str = '', size: int = 3) -> Any:
    """Make the legend's entry of a line."""
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=INK, lw=1, ls=style, marker=marker, ms=size, label=label
    )


def with_interval(result: dict[str, Any], key: str, name: str) -> str:
    """Write a metric and its interval, if the result has one."""
    low, high = result.get('intervals', {}).get(key) or (None, None)
    text = f'{name} {metric_text(result.get(key))}'
    if metric_text(low) != '-':
        text += f' [{metric_text(low)}, {metric_text(high)}]'
    return text
