"""Reliability diagrams and diagrams by band: drawn, and written as files or SVG."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from ..common.bands import BORDER_EDGES
from ..common.outputs import write_output
from ..evaluation.result import Result
from ..files.names import display_name
from ..losses.perturbations import max_alpha
from ..metrics.bins import BinTable, signed_gap
from .tables import estimate, number_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ('.png', '.pdf', '.svg')
# Of diagrams as files, and as pictures for trackers.
DPI = 200


@dataclass(frozen=True)
class Words:
    """What the axes of a diagram say.

    Attributes:
        score (str): What a network tells of a pixel.
        outcome (str): What comes true, of all pixels of a bin.
        right (str): The same in a word; also ``sure``, of the score.
    """

    score: str
    outcome: str
    right: str
    sure: str


WORDS = {
    'top_label': Words(
        score='confidence in the prediction',
        outcome='accuracy (share of right pixels)',
        right='accuracy',
        sure='confidence',
    ),
    'positive': Words(
        score='probability of foreground',
        outcome='share of foreground',
        right='foreground',
        sure='probability',
    ),
}
DISTANCE = 'distance from the predicted border\n(1/64 of the side of the image)'
# Names of the bands, that at the border first.
BANDS = [f'{low:g}–{high:g}' for low, high in pairwise((0, *BORDER_EDGES))]
BANDS.append(f'above {BORDER_EDGES[-1]:g}')
# Over-confident, under-confident, and bars without a sign.
OVER = '#c8442c'
UNDER = '#2b6cb0'
BAR = '#b8c7da'
INK = '#22282f'
GRID = '#d9dee4'
FADED = '66'  # alpha of a filled gap
# Names of models are no formulas: a $ in them is a $.
TITLE: dict[str, Any] = {'fontsize': 9.5, 'color': INK, 'parse_math': False}
LEGEND: dict[str, Any] = {
    'fontsize': 7,
    'frameon': False,
    'labelcolor': INK,
    'columnspacing': 1.0,
    'handlelength': 1.6,
}
# Variables of the page's style sheet, which has them light, dark and for print.
_VARIABLES = {OVER: 'over', UNDER: 'under', BAR: 'bar', INK: 'ink', GRID: 'line'}


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """Make a figure that is not registered with pyplot.

    Matplotlib is imported here and in the functions that draw: that takes half a
    second, and most processes that import the package draw nothing.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), **options)


def clean_axes(axes: Axes) -> None:
    """Draw a grid behind the data, small ticks, and the left and lower side only."""
    axes.grid(color=GRID, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=7.5, colors=INK, length=2)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[:].set_color(INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(fontsize=8, color=INK)


def save_figure(figure: Figure, path: str | Path, overwrite: bool = False) -> None:
    """Write a figure as PNG, PDF or SVG, by the suffix of the path, in one piece."""
    kind = Path(path).suffix.lower()
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DPI, format=kind[1:])
    write_output(path, buffer.getvalue(), overwrite)


def figure_array(figure: Figure, dpi: int = DPI) -> np.ndarray:
    """Render a figure to ``(H, W, 3)`` uint8 RGB."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def figure_svg(figure: Figure, label: str, place: str) -> Markup:
    """Render a figure as a part of a page, in the page's colours and font."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with (
        rc_context({'svg.fonttype': 'none', 'svg.hashsalt': place}),
        warnings.catch_warnings(),
    ):
        # The browser may have the letter that matplotlib's font lacks.
        warnings.filterwarnings('ignore', message='Glyph .* missing from font')
        # Laid out before what is not clipped counts as part of the figure.
        figure.draw_without_rendering()
        figure.set_layout_engine(None)  # else savefig lays it out again
        for artist in figure.findobj():
            artist.set_clip_on(False)
        figure.savefig(buffer, format='svg', transparent=True, metadata={'Date': None})
    head, body = buffer.getvalue().split('</metadata>')
    [size] = re.findall(r'viewBox="([^"]*)"', head)
    for pattern, replacement in (
        (r'<!--.*?-->', ''),
        (r'<g id="[^"]*"', '<g'),
        ('xlink:href', 'href'),
        (r"'DejaVu Sans'[^;\"]*", 'sans-serif'),
        (r'((?:fill|stroke): )(#[0-9a-f]{6})', _variable),
    ):
        body = re.sub(pattern, replacement, body, flags=re.DOTALL)
    return Markup(
        '<svg class="chart" role="img" aria-label="{}" viewBox="{}">{}'
    ).format(label, size, Markup(body))


def _variable(style: re.Match[str]) -> str:
    name = _VARIABLES.get(style[2])
    if name is None:
        return style[0]
    return f'{style[1]}var(--{name})'


LONGEST = 30  # letters of a name


def reliability_figure(results: Mapping[str, Result]) -> Figure:
    """Draw accuracy by confidence, a column per result.

    The coloured part of a bar spans accuracy and mean confidence: red where a bin is
    over-confident, blue where it is under-confident. Below, the share
    of the pixels.
    ``results`` are by title. The figure is not registered with pyplot.
    """
    figure, panels = _columns(results)
    for panel, (title, result) in zip(panels, results.items()):
        words = WORDS[result.settings['mode']]
        place, width, start = _bars(result)
        filled = np.flatnonzero(result.bins.count)
        table = result.bins.take(filled)

        lower = np.minimum(table.accuracy, table.mean_conf)
        panel.top.bar(place, lower, width, color=BAR, zorder=2)
        _draw_gaps(panel, place, width, table, result.bins.total)
        diagonal = [start, 1]
        panel.top.plot(diagonal, diagonal, '--', color=INK, linewidth=0.9, zorder=5)
        panel.top.set(xlim=(start, 1), ylim=(0, 1))

        accuracy = result.metrics.get('acc', np.nan)
        mean_conf = result.metrics.get('conf', np.nan)
        panel.bottom.axvline(accuracy, color=INK, linestyle='-', linewidth=1)
        panel.bottom.axvline(mean_conf, color=INK, linestyle=':', linewidth=1)
        panel.bottom.set_xlabel(words.score)
        lines = [
            f'{words.right} by {words.sure}',
            f'ECE {_with_interval(result, "ece")}, {result.num_images:,} images',
            f'{words.right} {number_text(accuracy)}, '
            f'{words.sure} {number_text(mean_conf)}',
        ]
        _add_title(panel.top, title, lines)

    panels[0].top.set_ylabel(words.outcome)
    marks = [
        _line('perfect', '--'),
        _patch(words.outcome.split(' (')[0], BAR),
        _line(f'mean {words.right}'),
        _line(f'mean {words.sure}', ':'),
    ]
    _add_legend(figure, marks, len(results))
    return figure


def _bars(result: Result) -> tuple[np.ndarray, np.ndarray, float]:
    """Places and widths of the bars of the bins with pixels; where the axis starts."""
    side = 1 / len(result.bins.count)
    place = (np.flatnonzero(result.bins.count) + 0.5) * side
    width = np.full(len(place), 0.94 * side)
    if not result.positive:
        return place, width, 0.0

    # Of two classes there is p = 0.5 alone below 0.5.
    below = place < 0.5
    width[below] = 0.018
    place[below] = 0.49
    return place, width, 0.48


def band_figure(results: Mapping[str, Result]) -> Figure:
    """Draw accuracy by distance from the border, as :func:`reliability_figure` does.

    All results have bands: they are of two classes, in top-label mode.
    """
    figure, panels = _columns(results)
    lowest = 1.0
    for panel, (title, result) in zip(panels, results.items()):
        bands = result.bands['predicted']
        place = np.flatnonzero(bands.count)
        table = bands.take(place)
        _draw_gaps(panel, place, np.full(len(place), 0.7), table, bands.total)
        _draw_line(panel.top, place, table.accuracy, '-')
        _draw_line(panel.top, place, table.mean_conf, ':')
        lowest = table.accuracy.min(initial=lowest)
        lowest = table.mean_conf.min(initial=lowest)
        panel.bottom.set(xticks=range(len(BANDS)), xticklabels=BANDS, xlabel=DISTANCE)
        panel.bottom.set_xlim(-0.5, len(BANDS) - 0.5)
        by_band = f'ECE by band {_with_interval(result, "ece_band")}'
        _add_title(panel.top, title, ['accuracy by distance from the border', by_band])

    # The axis begins at the twentieth below all that is drawn.
    start = max(np.floor(lowest * 20 - 0.2) / 20, 0)
    for panel in panels:
        panel.top.set_ylim(start, 1.02 - 0.02 * start)
    panels[0].top.set_ylabel('accuracy and confidence (0 to 1)')
    marks = [_line('accuracy', '-', 'o'), _line('confidence', ':', 'o')]
    _add_legend(figure, marks, len(results))
    return figure


def _draw_line(axes: Axes, place: np.ndarray, values: np.ndarray, style: str) -> None:
    """Draw the values of bands as points that a line joins."""
    axes.plot(place, values, style, color=INK, marker='o', ms=3, lw=1, zorder=4)


def _with_interval(result: Result, key: str) -> str:
    shown = estimate(result, key)
    return f'{shown.text} {shown.interval}'.strip()


def alpha_histogram(alpha: np.ndarray, beta: float) -> np.ndarray:
    """Draw how many images have which level: ``(H, W, 3)`` pixels."""
    figure = new_figure(5, 3, layout='constrained')
    axes = figure.add_subplot()
    top = max(1.05 * alpha.max(initial=0.0), 0.02 * max_alpha(beta))
    axes.hist(alpha, 40, range=(0.0, top), color=BAR)
    for quantile, style in ((0.05, ':'), (0.5, '-'), (0.95, ':')):
        axes.axvline(np.quantile(alpha, quantile), color=INK, lw=1, ls=style)
    axes.set(xlabel='perturbation level of an image', ylabel='images')
    title = (
        f'mean {alpha.mean():.4f}, beta {beta:g} (lines: 5, 50 and 95 % of the images)'
    )
    axes.set_title(title, **TITLE)
    clean_axes(axes)
    return figure_array(figure, 100)


@dataclass(frozen=True)
class Panels:
    """A column of a figure: a tall panel above a low one."""

    top: Axes
    bottom: Axes


def _columns(results: Mapping[str, Any]) -> tuple[Figure, list[Panels]]:
    """Make a column for each result."""
    figure = new_figure(3.4 * len(results), 4.4, layout='constrained')
    axes = figure.subplots(
        2, len(results), squeeze=False, height_ratios=(3.2, 1), sharex='col'
    )
    for axis in axes.flat:
        clean_axes(axis)
    axes[1, 0].set_ylabel('% of pixels')
    return figure, [Panels(top, bottom) for top, bottom in axes.T]


def _draw_gaps(
    panel: Panels,
    place: np.ndarray,
    width: np.ndarray,
    table: BinTable,
    total: np.ndarray,
) -> None:
    """Span accuracy and confidence, red above it and blue below; shares underneath."""
    gap = signed_gap(table)
    lower = np.minimum(table.accuracy, table.mean_conf)
    for drawn, colour in ((gap > 0, OVER), (gap < 0, UNDER)):
        panel.top.bar(
            place[drawn],
            np.abs(gap[drawn]),
            width[drawn],
            lower[drawn],
            color=colour + FADED,
            edgecolor=colour,
            linewidth=0.8,
            zorder=3,
        )
    panel.bottom.bar(place, table.count / total * 100, width, color=BAR, zorder=2)
    panel.bottom.set(ylim=(0, 100), yticks=[0, 50, 100])


def _add_title(axes: Axes, title: str, lines: Sequence[str]) -> None:
    """Write a name above a panel; between them what is seen, and figures."""
    pad = 8 + 9.5 * len(lines)
    title = display_name(title)
    if len(title) > LONGEST:
        title = f'{title[: LONGEST - 1]}…'
    axes.set_title(title, pad=pad, fontweight='bold', **TITLE)
    axes.annotate(
        '\n'.join(lines),
        (0.5, 1),
        (0, 5),
        xycoords='axes fraction',
        textcoords='offset points',
        ha='center',
        fontsize=7,
        color=INK,
    )


def _add_legend(figure: Figure, marks: Sequence[Any], number: int) -> None:
    """Explain the marks of a figure of ``number`` columns, and the signs of gaps."""
    handles = list(marks)
    handles.append(_patch('over-confident', OVER + FADED, edge=OVER))
    handles.append(_patch('under-confident', UNDER + FADED, edge=UNDER))
    ncols = 3
    if number > 1:
        ncols = (len(handles) + 1) // 2
    figure.legend(handles=handles, loc='outside lower center', ncols=ncols, **LEGEND)


def _line(label: str, style: str = '-', marker: str = '') -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=INK, lw=1, ls=style, marker=marker, ms=3, label=label)


def _patch(label: str, colour: str, edge: str | None = None) -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, edgecolor=edge, label=label)
