"""Calibration by region: sums per band of distance from a border."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..bands import BORDER_EDGES, border_cells
from .bin_table import BinTable
from .binned_metrics import binned_metrics, signed_gap
from .inputs import CHUNK, binary_maps

__all__ = ['BAND_FIGURES', 'BORDERS', 'REGION_ERRORS', 'RegionTable']

# Whose border: the mask that the map predicts, or that of the labels.
BORDERS = ('predicted', 'true')
# The metric of each border.
REGION_ERRORS = ('ece_region', 'ece_region_true')
# Scalars of each band of the predicted border, by the end of their name.
BAND_FIGURES = {'gap': 'gap', 'share': 'share', 'acc': 'accuracy'}


class RegionTable:
    r"""Pixels, correct ones and summed confidence per band of distance from a border.

    For two classes and the top label: the prediction is :math:`p > 0.5`, its confidence
    :math:`\max(p, 1 - p)`. Every valid pixel counts twice: in its band of the
    *predicted* border, that of the mask :math:`p > 0.5` over all pixels of the map, and
    in its band of the *true* border, that of the labels, where ignored pixels make no
    border. Both are bands of :func:`~mmaslp.core.bands.border_bands`: they scale with
    the image, and images without a border are in the last one.

    With :math:`n_k` pixels, confidence :math:`c_k` and accuracy :math:`a_k` in band k
    of N pixels, over all images:

    .. math::
        ece\_region = \sum_k \frac{n_k}{N} |c_k - a_k|

    Confidences are summed in units of :math:`2^{-24}`, the step of float32 above 0.5;
    rounding to it moves each by at most 3e-8, and the error by no more. All sums are
    integers, so :meth:`merge` is exact, associative and commutative bit by bit.

    Border regions in calibration: `Ding et al. 2021
    <https://arxiv.org/abs/2008.05105>`_ report the error in a fixed border region,
    `CRaC <https://arxiv.org/abs/2403.12364>`_ constrains border and inner pixels apart.

    Args:
        edges (Sequence[float]): Upper edges of all bands but the last, in units of
            :math:`\sqrt{HW} / 64` pixels, ascending, above 0. Defaults to
            ``BORDER_EDGES``.

    Attributes:
        sums (Tensor): ``(2, B, 3)`` int64: per border of ``BORDERS`` and band the
            number of pixels, of correct ones, and the summed confidence in units of
            1 / ``UNIT``.

    Raises:
        ValueError: The edges are no such sequence.

    Example:
        >>> import torch
        >>> label = torch.zeros(64, 64)
        >>> label[:, 32:] = 1
        >>> table = RegionTable()
        >>> table.update(0.1 + 0.8 * label, label)
        >>> [round(share, 3) for share in table.compute()['true']['share']]
        [0.031, 0.031, 0.062, 0.125, 0.75]
    """

    UNIT = 2**24

    def __init__(self, edges: Sequence[float] = BORDER_EDGES) -> None:
        self.edges = tuple(float(edge) for edge in edges)
        if (
            not 0 < len(self.edges) < 255
            or not self.edges[0] > 0
            or any(not low < high for low, high in pairwise(self.edges))
        ):
            raise ValueError(
                f'edges must be 1 to 254 ascending numbers above 0, not {self.edges}'
            )
        self.reset()

    def reset(self) -> None:
        """Forget all pixels."""
        bands = len(self.edges) + 1
        self.sums = torch.zeros(len(BORDERS), bands, 3, dtype=torch.int64)

    def update(
        self,
        prob: Tensor | np.ndarray,
        label: Tensor | np.ndarray,
        ignore_index: int = 255,
    ) -> None:
        """Count the pixels of one image, or of a batch of images of one size.

        Args:
            prob (Tensor | np.ndarray): ``(H, W)`` or ``(N, H, W)``, floating point in
                [0, 1], probability of the foreground. Values up to 1e-6 outside are
                clamped; float16 and bfloat16 are cast up.
            label (Tensor | np.ndarray): Same shape, of {0, 1, ignore_index}.
            ignore_index (int): Pixels with this label count nowhere. What is predicted
                there still makes the predicted border; NaN predicts background.
                Defaults to 255.

        Raises:
            ValueError: Shapes differ or are no maps, ``prob`` is no floating point
                type, has NaN or values outside [0, 1], or ``label`` has other values.
                Nothing of the call has been counted then.
        """
        prob, label, valid = binary_maps(prob, label, ignore_index)
        if not prob.numel():
            return
        predicted = prob > 0.5
        # Both borders at once: small maps pay by the call.
        known = None if valid is None else torch.cat([torch.ones_like(valid), valid])
        bands, cell = border_cells(torch.cat([predicted, label]), known, self.edges)
        # In strips of cells whose temporaries stay in the cache.
        rows = max(CHUNK // (prob[:, 0].numel() * cell), 1) * cell
        maps = [prob, predicted == label] + ([] if valid is None else [valid])
        strips = zip(*(each.split(rows, 1) for each in maps))
        sums = torch.cat([_sums(cell, *strip) for strip in strips], 1).view(-1, 3)
        self.sums = self.sums.to(prob.device)
        for own, band in zip(self.sums, bands.chunk(len(BORDERS))):
            own.index_add_(0, band.flatten().long(), sums)

    def merge(self, other: RegionTable) -> None:
        """Add the pixels of another table.

        Args:
            other (RegionTable): Of the same edges; unchanged.

        Raises:
            ValueError: The edges differ.
        """
        if other.edges != self.edges:
            raise ValueError(
                f'cannot merge a table of the edges {other.edges} into one of '
                f'{self.edges}'
            )
        self.sums += other.sums.to(self.sums.device)

    @property
    def count(self) -> int:
        """Number of valid pixels."""
        return int(self.sums[0, :, 0].sum())

    def table(self, border: str = 'predicted') -> BinTable:
        """Return the sums per band.

        Args:
            border (str): 'predicted' or 'true'. Defaults to 'predicted'.

        Returns:
            BinTable: Of shape ``(B,)``, the band at the border first.

        Raises:
            ValueError: Unknown border.
        """
        if border not in BORDERS:
            raise ValueError(f'border must be one of {BORDERS}, not {border!r}')
        sums = self.sums[BORDERS.index(border)].cpu().numpy()
        return BinTable(sums[:, 0], sums[:, 1], sums[:, 2] / self.UNIT)

    def compute(self) -> dict[str, Any]:
        """Compute the errors by region and what they are made of.

        Returns:
            dict: ``ece_region`` and ``ece_region_true``, the mean over pixels of the
            absolute gap of their band of the predicted and of the true border; then
            ``predicted`` and ``true``, each a dict of lists over the B bands, that at
            the border first: ``share`` of the pixels, ``accuracy``, ``confidence``
            and signed ``gap``, confidence - accuracy. nan where there is no pixel.
        """
        metrics: dict[str, Any] = {}
        bands = {}
        for key, border in zip(REGION_ERRORS, BORDERS):
            table = self.table(border)
            metrics[key] = float(binned_metrics(table)['ece'])
            bands[border] = {
                'share': table.weight.tolist(),
                'accuracy': table.accuracy.tolist(),
                'confidence': table.mean_conf.tolist(),
                'gap': signed_gap(table).tolist(),
            }
        return {**metrics, **bands}

    def measured(self) -> dict[str, Any]:
        """Arguments of :meth:`ASLP.observe <mmaslp.core.ASLP.observe>`.

        Returns:
            dict: ``accuracy`` and ``confidence`` over all pixels; ``region_gap``,
            ``region_share`` and ``region_accuracy`` by the predicted border.

        Raises:
            ValueError: If the bands are not those of the levels, ``BORDER_EDGES``.
        """
        if self.edges != BORDER_EDGES:
            raise ValueError(
                f'levels by region have the bands {BORDER_EDGES}, this table has '
                f'{self.edges}: leave edges out'
            )
        table = self.table()
        whole = binned_metrics(table)
        return dict(
            accuracy=float(whole['acc']),
            confidence=float(whole['conf']),
            region_gap=signed_gap(table).tolist(),
            region_share=table.weight.tolist(),
            region_accuracy=table.accuracy.tolist(),
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain tensors and numbers.

        Returns:
            dict: ``sums`` ``(2, B, 3)`` int64, ``edges`` (list) and ``unit``.
        """
        return {
            'sums': self.sums.cpu().clone(),
            'edges': list(self.edges),
            'unit': self.UNIT,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replace the state.

        Args:
            state (dict): As :meth:`state_dict` returned it.

        Raises:
            ValueError: The state lacks a key, belongs to other edges or another unit,
                or holds impossible sums.
        """
        missing = {'sums', 'edges', 'unit'} - set(state)
        if missing:
            raise ValueError(f'state of regions lacks {sorted(missing)}')
        for key, own in (('edges', list(self.edges)), ('unit', self.UNIT)):
            found = list(state[key]) if key == 'edges' else state[key]
            if found != own:
                raise ValueError(f'state of regions has {key} = {found}, not {own}')
        sums = torch.as_tensor(state['sums'])
        if sums.shape != self.sums.shape or not possible_sums(sums.cpu().numpy()):
            raise ValueError('state of regions is broken: it holds impossible sums')
        self.sums = sums.to(torch.int64).clone()


def possible_sums(sums: np.ndarray) -> bool:
    """Whether some maps could have given these sums.

    Args:
        sums (np.ndarray): ``(..., 2, B, 3)`` integers, see :class:`RegionTable`.
    """
    count, right, conf = np.moveaxis(sums, -1, 0)
    least, most = count * (RegionTable.UNIT // 2), count * RegionTable.UNIT
    totals = sums.sum(-2)
    return bool(
        np.issubdtype(sums.dtype, np.integer)
        and (right >= 0).all()
        and (right <= count).all()
        and (least <= conf).all()
        and (conf <= most).all()
        # Every pixel has a band of each border.
        and (totals[..., 0, :] == totals[..., 1, :]).all()
    )


def _sums(
    cell: int, prob: Tensor, right: Tensor, valid: Tensor | None = None
) -> Tensor:
    """Sums of ``(N, H, W)`` maps per cell of side s: ``(N, H / s, W / s, 3)`` int64."""
    conf = torch.maximum(prob, 1 - prob).mul_(RegionTable.UNIT).round_().int()
    if valid is None:
        count = _cell_sizes(right, cell)
    else:
        right, conf = right & valid, conf.masked_fill_(~valid, 0)
        count = _cell_sums(valid.byte(), cell)
    return torch.stack(
        [count, _cell_sums(right.byte(), cell), _cell_sums(conf, cell)], -1
    )


def _cell_sums(values: Tensor, cell: int) -> Tensor:
    """Add up the pixels of each cell.

    Args:
        values (Tensor): ``(N, H, W)`` uint8 or int32, in [0, ``UNIT``].
        cell (int): Side s of a cell in pixels.

    Returns:
        Tensor: ``(N, ceil(H / s), ceil(W / s))``, int64.
    """
    if cell == 1:
        return values.long()
    height, width = values.shape[1:]
    rows, columns = -(-height // cell), -(-width // cell)
    if (rows * cell, columns * cell) != (height, width):
        beyond = (0, columns * cell - width, 0, rows * cell - height)
        values = torch.nn.functional.pad(values, beyond)
    # Columns of a cell in 32 bits, three times as fast, as long as their sums fit.
    fits = cell * RegionTable.UNIT < 2**31
    lines = values.view(-1, rows, cell, columns * cell)
    lines = lines.sum(2, dtype=torch.int32 if fits else torch.int64)
    return lines.view(-1, rows, columns, cell).sum(3)


def _cell_sizes(values: Tensor, cell: int) -> Tensor:
    """Number of pixels of each cell: what :func:`_cell_sums` gives for ones."""
    if cell == 1:
        return torch.ones_like(values, dtype=torch.int64)
    heights, widths = (
        torch.arange(0, side, cell, device=values.device)
        .neg_()
        .add_(side)
        .clamp_(max=cell)
        for side in values.shape[1:]
    )
    return (heights[:, None] * widths).expand(len(values), -1, -1)
