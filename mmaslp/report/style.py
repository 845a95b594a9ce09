"""What diagrams look like, and how they are written: a file, pixels, part of a page."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from ..core.outputs import write_output

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ('.png', '.pdf', '.svg')
# Over-confident, under-confident, and bars without a sign.
OVER, UNDER, BAR = '#c8442c', '#2b6cb0', '#b8c7da'
INK, GRID = '#22282f', '#d9dee4'
FADED = '66'  # alpha of a filled gap
LABEL: dict[str, Any] = {'fontsize': 8, 'color': INK}
# Names of models are no formulas: a $ in them is a $.
TITLE: dict[str, Any] = {**LABEL, 'fontsize': 9.5, 'parse_math': False}
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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), **options)
    FigureCanvasAgg(figure)
    return figure


def clean_axes(axes: Axes) -> None:
    """Draw a grid behind the data, small ticks, and the left and lower side only."""
    axes.grid(color=GRID, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=7.5, colors=INK, length=2)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ('left', 'bottom'))
        spine.set_color(INK)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, PDF or SVG, by the suffix of the path, in one piece."""
    kind = Path(path).suffix.lower()
    if kind not in FORMATS:
        raise ValueError(f'{path}: diagrams are written as {", ".join(FORMATS)}')
    # By its mark a later run knows that the file may be replaced.
    mark = {'Software' if kind == '.png' else 'Creator': 'diagram of mmaslp'}
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=200, format=kind[1:], metadata=mark)
    write_output(path, buffer.getvalue(), 'diagram')


def figure_array(figure: Figure, dpi: int = 120) -> np.ndarray:
    """Render a figure to ``(H, W, 3)`` uint8 RGB."""
    figure.set_dpi(dpi)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def figure_svg(figure: Figure, label: str, place: str) -> Markup:
    """Render a figure as a part of a page, in the page's colours and font."""
    from matplotlib import rc_context

    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)  # before what is not clipped counts as part of it
        figure.set_layout_engine('none')
    for artist in figure.findobj():
        artist.set_clip_on(False)
    buffer = io.StringIO()
    with (
        rc_context({'svg.fonttype': 'none', 'svg.hashsalt': place}),
        warnings.catch_warnings(),
    ):
        # The browser may have the letter that matplotlib's font lacks.
        warnings.filterwarnings('ignore', message='Glyph .* missing from font')
        figure.savefig(buffer, format='svg', transparent=True, metadata={'Date': None})
    text = buffer.getvalue()
    (size,) = re.findall(r'viewBox="([^"]*)"', text)
    body = text[text.index('</metadata>') + len('</metadata>') :]
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


def _variable(found: re.Match[str]) -> str:
    name = _VARIABLES.get(found[2])
    return found[0] if name is None else f'{found[1]}var(--{name})'
