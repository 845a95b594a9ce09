"""A diagram of confidence minus accuracy of groups of pixels, for several models."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .breakdowns import Breakdown
from .style import (
    INK,
    LABEL,
    LEGEND,
    MARKERS,
    MODELS,
    OVER,
    TITLE,
    UNDER,
    clean_axes,
    new_figure,
    shortened,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ['gap_figure']

LONGEST = 30  # letters of a name


def gap_figure(
    breakdown: Breakdown, models: list[str], width: float = 3.6, height: float = 3.2
) -> Figure:
    """Draw the gaps of every group and model, with their intervals."""
    figure = new_figure(width, height, layout='constrained')
    axes = figure.add_subplot()
    places = np.arange(len(breakdown.groups))
    step = min(0.7 / max(len(breakdown.series), 1), 0.14)
    for number, (name, gaps) in enumerate(breakdown.series.items()):
        index = models.index(name)
        across = places + (number - (len(breakdown.series) - 1) / 2) * step
        spread = np.array([gaps.gap - gaps.low, gaps.high - gaps.gap])
        axes.errorbar(
            across,
            gaps.gap,
            np.maximum(np.nan_to_num(spread), 0),
            color=MODELS[index % len(MODELS)],
            marker=MARKERS[index % len(MARKERS)],
            ms=4,
            lw=1.2,
            elinewidth=0.9,
            capsize=2,
            label=shortened(name, LONGEST),
        )
    axes.axhline(0, color=INK, lw=0.9)
    low, high = axes.get_ylim()
    for colour, start, end in ((OVER, 0, max(high, 0)), (UNDER, min(low, 0), 0)):
        axes.axhspan(start, end, color=colour, alpha=0.09, lw=0, zorder=0)
    axes.set_ylim(min(low, 0), max(high, 0))
    axes.set_xlim(-0.5, len(places) - 0.5)
    _name_groups(axes, breakdown.groups)
    axes.set_xlabel(breakdown.axis, **LABEL)
    axes.set_ylabel('confidence − accuracy', **LABEL)
    axes.set_title(breakdown.title, fontweight='bold', **TITLE)
    clean_axes(axes)
    ncols = 1 if max(map(len, breakdown.series)) > LONGEST / 2 else 2
    legend = figure.legend(loc='outside lower center', ncols=ncols, **LEGEND)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _name_groups(axes, groups: tuple[str, ...]) -> None:
    """Name the groups; long names are slanted, of many only every second is shown."""
    every = math.ceil(len(groups) / 8)
    slanted = max(map(len, groups), default=0) * len(groups) / every > 60
    axes.set_xticks(
        range(0, len(groups), every),
        [shortened(name, LONGEST) for name in groups[::every]],
        rotation=30 if slanted else 0,
        ha='right' if slanted else 'center',
        parse_math=False,
    )
