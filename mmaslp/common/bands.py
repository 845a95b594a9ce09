"""Bands of distance from the border of a mask."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

# Sides of the grid on which distances are measured, and which the edges count in.
GRID = 64
# Upper edges of all bands but the last: 1/64 to 1/8 of the side of the image.
BORDER_EDGES = (1.0, 2.0, 4.0, 8.0)
NUM_BANDS = len(BORDER_EDGES) + 1


def border_bands(mask: Tensor, valid: Tensor | None = None) -> Tensor:
    r"""Band of every pixel by its distance from the border of a mask.

    The border is the line between two pixels of different classes, so that a pixel
    whose nearest pixel of the other class is d pixels away lies d - 1/2 from it.
    Distances scale with the image: the unit is :math:`\sqrt{HW} / 64` pixels. They are
    chessboard distances between cells of s x s pixels, with
    :math:`s = \max(1, \lfloor \sqrt{HW} / 64 \rfloor)`, so that the cost per pixel does
    not grow with the image; a cell that holds both classes is at the border. Up to
    127 pixels of side a cell is one pixel. A pixel is in the first band whose upper
    edge, 1, 2, 4 or 8 units, is not below its distance.

    Args:
        mask (Tensor): Foreground, ``(N, H, W)``, bool or of 0 and 1, any device.
        valid (Tensor, optional): Bool, same shape; pixels that are False belong to
            neither class and make no border. Defaults to None: all are valid.

    Returns:
        Tensor: ``(N, H, W)``, uint8, in [0, 4]; the last band where the
        image has no border within reach, or none at all. The edge of the image is no
        border.

    Raises:
        ValueError: If the mask has another number of axes.

    Example:
        >>> mask = torch.zeros(1, 64, 64)
        >>> mask[..., 32:] = 1
        >>> border_bands(mask)[0, 0, 20:36].tolist()
        [4, 4, 4, 4, 3, 3, 3, 3, 2, 2, 1, 0, 0, 1, 2, 2]
    """
    height, width = map(int, mask.shape[1:])
    cells, cell = border_cells(mask, valid)
    bands = _widen(cells, cell, width)

    rows = int(bands.shape[1])
    pixels = bands.unsqueeze(2).expand(-1, rows, cell, width)
    return pixels.flatten(1, 2)[:, :height]


def border_cells(mask: Tensor, valid: Tensor | None = None) -> tuple[Tensor, int]:
    """Band of every cell of s x s pixels, and s; see :func:`border_bands`."""
    if mask.dim() != 3:
        raise ValueError(f'mask must be (N, H, W), got {tuple(mask.shape)}')
    # Python's integers: an exporter that traces keeps this size, and refuses others.
    side = math.sqrt(int(mask.shape[1]) * int(mask.shape[2]))
    cell = max(1, int(side / GRID))
    # 0: background, 1: foreground; of an ignored pixel 0 for the one, 1 for the other.
    high = low = mask.byte()
    if valid is not None:
        high = high & valid
        low = low | ~valid
    foreground = _extreme_in_cells(high, cell, torch.amax, beyond=0) > 0
    background = _extreme_in_cells(low, cell, torch.amin, beyond=1) < 1
    near = torch.stack([foreground, background])
    band = torch.full_like(near[0], len(BORDER_EDGES), dtype=torch.uint8)
    reached = 0
    for edge in BORDER_EDGES:
        # Cells that are r apart lie r - 1/2 from the border between them.
        radius = math.floor(edge * side / GRID / cell + 0.5)
        near = _dilate(near, reached, radius)
        reached = max(reached, radius)
        band -= (near[0] & near[1]).byte()

    return band, cell


def border_row_values(
    mask: Tensor, values: Tensor, valid: Tensor | None = None
) -> tuple[Tensor, int]:
    """``values[border_bands(mask)]``, once for the s rows of pixels of a row of cells.

    ``values`` are those of B bands, ``(B,)``. Returns ``(N, ceil(H / s), W)`` and s.
    """
    cells, cell = border_cells(mask, valid)
    return _widen(values[cells.long()], cell, mask.shape[2]), cell


def _widen(cells: Tensor, cell: int, width: int) -> Tensor:
    """Repeat (N, R, C) columns to (N, R, W)."""
    rows, columns = map(int, cells.shape[1:])
    repeated = cells.unsqueeze(3).expand(-1, rows, columns, cell)
    return repeated.flatten(2)[..., :width]


def _extreme_in_cells(
    values: Tensor, cell: int, extreme: Callable[[Tensor, int], Tensor], beyond: int
) -> Tensor:
    """Largest or least value in each cell: (N, H, W) to (N, H / s, W / s)."""
    if cell == 1:
        return values
    lines, columns = lines_of_cells(values, cell, beyond)
    rows = int(lines.shape[1])
    return extreme(extreme(lines, 2).view(-1, rows, columns, cell), 3)


def lines_of_cells(values: Tensor, cell: int, beyond: int = 0) -> tuple[Tensor, int]:
    """View (N, H, W) as (N, H / s, s, W), and W / s; the last cells are filled up."""
    height, width = map(int, values.shape[1:])
    rows = -(-height // cell)
    columns = -(-width // cell)
    border = (0, columns * cell - width, 0, rows * cell - height)
    if any(border):
        values = torch.nn.functional.pad(values, border, value=beyond)
    return values.view(-1, rows, cell, columns * cell), columns


def _dilate(masks: Tensor, reached: int, radius: int) -> Tensor:
    """Widen masks that were dilated by ``reached`` cells to a radius of ``radius``."""
    while reached < radius:
        # Wider steps would leave gaps next to the edge of the image.
        shift = min(radius - reached, reached + 1)
        for axis in (-2, -1):
            if masks.shape[axis] > shift:
                masks = _with_neighbours(masks, axis, shift)
        reached += shift
    return masks


def _with_neighbours(masks: Tensor, axis: int, shift: int) -> Tensor:
    """Each cell, or one of the two that lie ``shift`` cells before and after it."""
    rest = masks.shape[axis] - shift
    # Not in place: an exporter that traces loses what is written into a view.
    pair = masks.narrow(axis, 0, rest) | masks.narrow(axis, shift, rest)
    before = torch.cat([masks.narrow(axis, 0, shift), pair], axis)
    after = torch.cat([pair, masks.narrow(axis, rest, shift)], axis)
    return before | after
