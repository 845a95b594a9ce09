"""What the diagrams of calibration look like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OVER, UNDER, BAR = '#c8442c', '#2b6cb0', '#b8c7da'
INK, GRID = '#22282f', '#d9dee4'
FADED = '66'  # alpha of a filled gap
# Of axis labels.
LABEL: dict[str, Any] = {'fontsize': 8, 'color': INK}
# Of names of models and sets, which are no formulas: a $ in them is a $.
TITLE: dict[str, Any] = {
    'fontsize': 9,
    'color': INK,
    'fontweight': 'bold',
    'parse_math': False,
}


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """Make a figure that is not registered with pyplot.

    Matplotlib is imported here and in the functions that draw: that takes half a
    second, and most processes that import the package draw nothing.

    Args:
        width (float): In inches.
        height (float): In inches.
        **options (Any): Of :class:`matplotlib.figure.Figure`.

    Returns:
        matplotlib.figure.Figure: With a canvas that draws pixels.
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
    axes.tick_params(labelsize=7, colors=INK, length=2)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ('left', 'bottom'))
        spine.set_color(INK)
