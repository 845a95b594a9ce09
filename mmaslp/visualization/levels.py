"""Contact sheet of the images with the lowest and the highest levels."""

import numpy as np
from matplotlib.figure import Figure

from ..utils.names import shown
from .panels import image_panels
from .style import INK, OVER, new_figure

__all__ = ['levels_sheet']

OUTLINE = '#ffd400'
COLUMNS = 6
# Inches of a panel, of the title above it, and of the headline of a block.
PANEL, TITLE, HEAD = 0.92, 0.2, 0.34
GAP = 0.05


def levels_sheet(blocks: dict[str, list[dict]]) -> Figure:
    """Draw images with the outline of their mask and the prediction of the model.

    Each image takes two panels, the photograph and the probability of foreground from
    black (0) to white (1), both with the outline of the mask.

    Args:
        blocks (dict[str, list[dict]]): Headline to images, drawn one below the
            other. An image has ``name`` (the path of the file), ``alpha`` (its
            level), ``wrong`` (whether its mask is known to be wrong: then its title
            is red), ``prob`` (H, W) uint16 in units of 1 / 65535 and ``label`` (H, W)
            of 0, 1 and other values for ignored pixels.

    Returns:
        matplotlib.figure.Figure: Not registered with pyplot.

    Raises:
        ValueError: There is no image.
    """
    longest = max(map(len, blocks.values()), default=0)
    if not longest:
        raise ValueError('a contact sheet needs at least one image')
    columns = min(COLUMNS, longest)
    rows = {head: -(-len(items) // columns) for head, items in blocks.items()}
    cell = (2 * PANEL + 3 * GAP, PANEL + TITLE + GAP)
    width = columns * cell[0] + GAP
    height = sum(HEAD + count * cell[1] for count in rows.values()) + GAP
    figure = new_figure(width, height)
    top = height
    for head, items in blocks.items():
        figure.text(
            2 * GAP / width,
            (top - HEAD / 2) / height,
            head,
            va='center',
            fontsize=9,
            fontweight='bold',
            color=INK,
        )
        top -= HEAD
        for i, item in enumerate(items):
            left = 2 * GAP + i % columns * cell[0]
            bottom = top - (i // columns) * cell[1] - TITLE - PANEL
            _draw_item(figure, item, left / width, bottom / height)
        top -= rows[head] * cell[1]
    return figure


def _draw_item(figure, item, left, bottom):
    """Title and two panels of one image; ``left`` and ``bottom`` in [0, 1]."""
    width, height = figure.get_size_inches()
    panels = image_panels(item, item['name'])
    photo = panels.get('image', panels['mask'])
    for i, panel in enumerate((photo, panels['probability'])):
        x = left + i * (PANEL + GAP / 2) / width
        axes = figure.add_axes((x, bottom, PANEL / width, PANEL / height))
        _draw_panel(axes, panel, item['label'])
    text = f'α {item["alpha"]:.5f}   {shown(_stem(item["name"]))}'
    figure.text(
        left,
        bottom + (PANEL + TITLE / 4) / height,
        text + '   wrong mask' * item['wrong'],
        fontsize=6.5,
        color=OVER if item['wrong'] else INK,
        fontweight='bold' if item['wrong'] else 'normal',
        parse_math=False,
    )


def _draw_panel(axes, panel, label):
    height, width = label.shape
    axes.imshow(
        np.asarray(panel),
        cmap='gray',
        vmin=0,
        vmax=255,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation='nearest',
    )
    # A border of background closes the outline of a mask that touches the edge.
    mask = np.pad(label == 1, 1)
    if mask.any():
        axes.contour(
            np.arange(-1, width + 1),
            np.arange(-1, height + 1),
            mask,
            levels=[0.5],
            colors=OUTLINE,
            linewidths=0.9,
        )
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    axes.set_anchor('SW')
    axes.set_axis_off()


def _stem(path, longest=16):
    """Name of a file without its suffix; of a long name only the end."""
    stem = path.rsplit('/', 1)[-1].rsplit('.', 1)[0]
    return stem if len(stem) <= longest else f'…{stem[1 - longest :]}'
