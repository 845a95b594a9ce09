"""What the diagrams of calibration look like."""

from typing import Any

from matplotlib.axes import Axes

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


def clean_axes(axes: Axes) -> None:
    """Draw a grid behind the data, small ticks, and the left and lower side only."""
    axes.grid(color=GRID, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=7, colors=INK, length=2)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ('left', 'bottom'))
        spine.set_color(INK)
