"""Regions of an image: bands of distance from the border of a mask."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ['BORDER_EDGES', 'border_bands', 'border_cells', 'border_values']

# Sides of the grid on which distances are measured, and which the edges count in.
GRID = 64
# Upper edges of all bands but the last.
BORDER_EDGES = (1.5, 3.0, 6.0, 12.0)


def border_bands(
    mask: Tensor,
    valid: Tensor | None = None,
    edges: Sequence[float] = BORDER_EDGES,
) -> Tensor:
    r"""Band of every pixel by its distance to the nearest pixel of the other class.

    Distances scale with the image: the unit is :math:`\sqrt{HW} / 64` pixels. They are
    chessboard distances between cells of s x s pixels, with
    :math:`s = \max(1, \lfloor \sqrt{HW} / 64 \rfloor)`, so that the cost per pixel does
    not grow with the image; a cell that holds both classes is in the first band. Up to
    127 pixels of side a cell is one pixel.

    Args:
        mask (Tensor): Foreground, ``(N, H, W)``, bool or of 0 and 1, any device.
        valid (Tensor, optional): Bool, same shape; pixels that are False belong to
            neither class and make no border. Defaults to None: all are valid.
        edges (Sequence[float]): Upper edges of all bands but the last, ascending, the
            first above 1. A pixel is in the first band whose edge is above its
            distance. Defaults to ``BORDER_EDGES``.

    Returns:
        Tensor: ``(N, H, W)``, uint8, in [0, len(edges)]; the last band where the
        image has no border within reach, or none at all. The edge of the image is no
        border.

    Raises:
        ValueError: If the mask has another number of axes.

    Example:
        >>> mask = torch.zeros(1, 64, 64)
        >>> mask[..., 32:] = 1
        >>> border_bands(mask)[0, 0, 16:34].tolist()
        [4, 4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 2, 2, 2, 1, 0, 0, 1]
    """
    cells, cell = border_cells(mask, valid, edges)
    return _expand(cells, cell, mask.shape)


def border_cells(
    mask: Tensor,
    valid: Tensor | None = None,
    edges: Sequence[float] = BORDER_EDGES,
) -> tuple[Tensor, int]:
    """Band of every cell, before :func:`border_bands` gives it to the cell's pixels.

    Args:
        mask (Tensor): See :func:`border_bands`.
        valid (Tensor, optional): See :func:`border_bands`.
        edges (Sequence[float]): See :func:`border_bands`.

    Returns:
        tuple[Tensor, int]: ``(N, ceil(H / s), ceil(W / s))``, uint8, and the side s of
        a cell in pixels. Cells at the lower and right edge may reach beyond the image.

    Raises:
        ValueError: See :func:`border_bands`.
    """
    if mask.dim() != 3:
        raise ValueError(f'mask must be (N, H, W), got {tuple(mask.shape)}')
    side = math.sqrt(mask.shape[1] * mask.shape[2])
    cell = max(1, int(side / GRID))
    mask = mask.byte()
    # 0: background, 1: foreground; of an ignored pixel 0 for the one, 1 for the other.
    high = mask if valid is None else mask & valid
    low = mask if valid is None else mask | ~valid
    near = torch.stack([_cells(high, cell, 1) > 0, _cells(low, cell, 0) < 1])
    band = torch.full(near.shape[1:], len(edges), dtype=torch.uint8, device=mask.device)
    reached = 0
    for edge in edges:
        # The largest number of cells whose distance in pixels is below the edge.
        radius = math.ceil(edge * side / GRID / cell) - 1
        near = _dilate(near, reached, radius)
        reached = max(reached, radius)
        band -= (near[0] & near[1]).byte()
    return band, cell


def border_values(
    mask: Tensor,
    values: Tensor,
    valid: Tensor | None = None,
    edges: Sequence[float] = BORDER_EDGES,
) -> Tensor:
    """Value of every pixel's band, as ``values[border_bands(mask)]`` but faster.

    Args:
        mask (Tensor): See :func:`border_bands`.
        values (Tensor): Value of each band, ``(B,)`` for all images or ``(N, B)``, with
            B = len(edges) + 1, on the device of the mask.
        valid (Tensor, optional): See :func:`border_bands`.
        edges (Sequence[float]): See :func:`border_bands`.

    Returns:
        Tensor: ``(N, H, W)``, of the dtype of ``values``.

    Raises:
        ValueError: See :func:`border_bands`; or if there is another number of values.
    """
    if values.shape[-1] != len(edges) + 1:
        raise ValueError(
            f'{len(edges)} edges make {len(edges) + 1} bands, but there are '
            f'{values.shape[-1]} values'
        )
    cells, cell = border_cells(mask, valid, edges)
    rows = values.expand(len(mask), -1)
    found = rows.gather(1, cells.flatten(1).long()).view(cells.shape)
    return _expand(found, cell, mask.shape)


def _expand(cells: Tensor, cell: int, shape: torch.Size) -> Tensor:
    """Give every pixel the value of its cell."""
    if cell == 1:
        return cells
    rows, columns = cells.shape[1:]
    pixels = cells.view(-1, rows, 1, columns, 1).expand(-1, rows, cell, columns, cell)
    pixels = pixels.reshape(-1, rows * cell, columns * cell)
    return pixels[:, : shape[1], : shape[2]]


def _cells(values: Tensor, cell: int, largest: int) -> Tensor:
    """Largest (1) or least (0) value in each cell: (N, H, W) to (N, H / s, W / s)."""
    if cell == 1:
        return values
    height, width = values.shape[1:]
    rows, columns = -(-height // cell), -(-width // cell)
    if (rows * cell, columns * cell) != (height, width):
        border = (0, columns * cell - width, 0, rows * cell - height)
        values = torch.nn.functional.pad(values, border, value=1 - largest)
    reduce = torch.amax if largest else torch.amin
    values = reduce(values.view(-1, rows, cell, columns * cell), 2)
    return reduce(values.view(-1, rows, columns, cell), 3)


def _dilate(masks: Tensor, reached: int, radius: int) -> Tensor:
    """Widen masks that were dilated by ``reached`` cells to a radius of ``radius``."""
    while reached < radius:
        # Wider steps would leave gaps next to the edge of the image.
        shift = min(radius - reached, reached + 1)
        for axis in (-2, -1):
            size = masks.shape[axis]
            if shift < size:
                wide = masks.clone()
                low, high = (
                    masks.narrow(axis, 0, size - shift),
                    masks.narrow(axis, shift, size - shift),
                )
                wide.narrow(axis, shift, size - shift).logical_or_(low)
                wide.narrow(axis, 0, size - shift).logical_or_(high)
                masks = wide
        reached += shift
    return masks
