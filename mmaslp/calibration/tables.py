"""The table that calibrators are fitted from: counts by band and narrow cell of p."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..common.arguments import check_integer
from ..common.arrays import as_floats, as_tensor, checked, one_logit
from ..common.bands import NUM_BANDS, border_bands
from .contents import Contents, contents_of
from .maps import CELLS, cell_numbers

GROUPS = 100
# Keys times this, by modulo, are in no order.
_SHUFFLE = 0x9E3779B1
_LAST = 2**31 - 1
# Pixels of slices that are coded at a time.
_PIECE = 2**18


class CalibrationTables:
    """Pixels of both labels by group, band of the predicted border and cell of p.

    A case is what has one key: an image, a volume, or all images of a patient. Case k
    belongs to group k mod 100, so that memory (2 MB) grows neither with pixels nor with
    images, while folds and intervals are made of groups. Up to 100 cases are groups of
    their own. Bands are those of the mask p > 1/2
    (:func:`~mmaslp.common.bands.border_bands`), cells those of
    :mod:`~mmaslp.calibration.maps`. All counts are integers, so :meth:`merge` is
    exact in any order.

    Attributes:
        counts (Tensor): ``(100, 5, 258, 2)`` int64 per group, band, cell and label.
        images (Tensor): ``(100,)`` int64, number of images of each group.
        keys (set[int]): Those of all cases.
        sample (Tensor): ``counts`` of one case of each group, drawn by its key: masks
            are judged case by case.
        contents (list[Contents] | None): What each image holds, for the decisions about
            objects and images; up to 16 KB an image and an object. None: not counted.
        windows (list[Contents]): What was found in windows that hold no object.
        network (float | None): Fingerprint of the network that gave the maps.

    Args:
        with_contents (bool): Whether to count ``contents``. Defaults to False.

    Example:
        >>> tables = CalibrationTables()
        >>> tables.update(torch.full((8, 8), 0.9), torch.ones(8, 8), key=0)
        >>> int(tables.counts.sum()), int(tables.images.sum())
        (64, 1)
    """

    def __init__(self, with_contents: bool = False) -> None:
        self.counts = torch.zeros(GROUPS, NUM_BANDS, CELLS, 2, dtype=torch.int64)
        self.images = torch.zeros(GROUPS, dtype=torch.int64)
        self.keys: set[int] = set()
        self.sample = torch.zeros_like(self.counts)
        self.contents: list[Contents] | None = [] if with_contents else None
        self.windows: list[Contents] = []
        self.network: float | None = None
        self._rank = torch.full((GROUPS,), _LAST)

    def update(
        self,
        prob: Tensor | np.ndarray,
        label: Tensor | np.ndarray,
        key: int | None = None,
        ignore_index: int = 255,
        logits: bool = False,
        channels: bool = False,
    ) -> None:
        """Count the pixels of one image.

        Args:
            prob (Tensor | np.ndarray): ``(H, W)``, or ``(..., H, W)`` for an image of
                several binary channels or slices; as in :func:`fit_calibrator`.
            label (Tensor | np.ndarray): Same shape, up to axes of one.
            key (int, optional): Number of the image, or of the patient, video or place
                that it belongs to: images of one key stay in one group. Defaults to
                None: the number of images so far, which is right in one process only.
            ignore_index (int): Label of pixels that count nowhere, though their
                probabilities make borders. Defaults to 255.
            logits (bool): Whether ``prob`` holds logits: of the foreground, or (2, ...)
                of background and foreground. Defaults to False.
            channels (bool): Whether there are several binary channels, see
                :func:`has_channels`: their objects are not one another's slices, and
                ``contents`` are not kept. Defaults to False.

        Raises:
            ValueError: The image cannot be used. Then nothing of it is counted.
        """
        prob = as_floats(prob)
        label = as_tensor(label, 'label')
        if logits and _is_softmax(prob, label):
            prob = one_logit(prob, axis=0)
            channels = False
        if prob.dim() < 2 or _long_axes(prob) != _long_axes(label):
            raise ValueError(
                f'the map has shape {tuple(prob.shape)} but the mask '
                f'{tuple(label.shape)}: give both as (H, W), resized to one size'
            )

        label = label.reshape(-1, *prob.shape[-2:]).to(prob.device)
        ignored = label == check_integer('ignore_index', ignore_index)
        prob = prob.reshape(label.shape)
        if ignored.any():  # what is ignored may hold anything
            checked(prob[~ignored], logits)
        else:
            checked(prob, logits)

        # 0 and 1 the labels, 2 ignored, 3 something else.
        kind = (label != 0).byte().mul_(3).sub_((label == 1).byte().mul_(2))
        kind.masked_fill_(ignored, 2)
        mixed, mask, counts = count_pixels(prob, logits, kind)
        found = counts.view(NUM_BANDS, CELLS, 4)
        if found[..., 3].any():
            odd = label[kind == 3][0].item()
            raise ValueError(
                f'the mask holds {odd}, but labels are 0, 1 and {ignore_index} '
                '(ignored): divide a mask of 0 and 255 by 255'
            )
        del kind, ignored, label  # of a volume they are large

        key = int(self.images.sum()) if key is None else key
        group = key % GROUPS
        rank = (key + 1) * _SHUFFLE % _LAST
        if rank < self._rank[group]:
            self.sample[group] = 0
            self._rank[group] = rank
        if rank == self._rank[group]:
            self.sample[group] += found[..., :2]
        self.keys.add(key)

        if channels:
            self.contents = None
        if self.contents is not None:
            pixels = mixed.squeeze(0).cpu().numpy()
            inside = mask.squeeze(0).cpu().numpy()
            own, _ = contents_of(pixels, inside, counts.numpy(), group)
            self.contents.append(own)

        self.counts[group] += found[..., :2]
        self.images[group] += 1

    def add_window(self, prob: Tensor | np.ndarray, logits: bool = False) -> None:
        """Count a window ``(H, W)`` without an object, for decisions only."""
        values = checked(as_floats(prob), logits)[None]
        mixed, mask, counts = count_pixels(values, logits)
        pixels, inside = (part[0].cpu().numpy() for part in (mixed, mask))
        found, _ = contents_of(pixels, inside, counts.numpy())
        self.windows.append(found)

    @property
    def cases(self) -> Tensor:
        """``(100,)`` int64, number of cases of each group."""
        groups = torch.tensor([key % GROUPS for key in self.keys], dtype=torch.int64)
        return torch.bincount(groups, minlength=GROUPS)

    def merge(self, other: CalibrationTables) -> None:
        """Add the images of another table, whose keys continue or share those here."""
        self.keys |= other.keys
        self.counts += other.counts
        self.images += other.images
        if self.contents is not None and other.contents is not None:
            self.contents += other.contents
        self.windows += other.windows
        self.sample[other._rank < self._rank] = 0
        drawn = other._rank <= self._rank
        self.sample[drawn] += other.sample[drawn]
        self._rank[drawn] = other._rank[drawn]


def has_channels(batch: Any) -> bool:
    """Whether an array or tensor ``(N, C, ..., H, W)`` holds several channels."""
    return getattr(batch, 'ndim', 0) > 3 and batch.shape[1] > 1


def _is_softmax(logit: Tensor, label: Tensor) -> bool:
    """Whether logits are of background and foreground, for one map of labels."""
    two = logit.dim() > 2 and len(logit) == 2
    return two and _long_axes(logit[0]) == _long_axes(label)


def count_pixels(
    values: Tensor, logits: bool, kind: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Code every pixel of ``(M, H, W)`` maps by band, cell and kind, and count codes.

    Returns:
        tuple[Tensor, Tensor, Tensor]: ``(M, H, W)`` int16, 4 times the code plus the
        kind, by default 0; the mask p > 1/2; and on the CPU ``(NUM_BANDS * CELLS, 4)``
        how often each code and kind occurs.
    """
    step = max(1, _PIECE // max(1, values[0].numel()))
    if len(values) <= step:
        mixed, mask = _codes(values, logits, kind)
        found = torch.bincount(mixed.flatten(), minlength=4 * NUM_BANDS * CELLS).cpu()
        return mixed.short(), mask, found.view(-1, 4)

    # Slice by slice, to bound the memory.
    mixed = torch.empty(values.shape, dtype=torch.int16, device=values.device)
    mask = torch.empty(values.shape, dtype=torch.bool, device=values.device)
    counts = torch.zeros(NUM_BANDS * CELLS, 4, dtype=torch.int64)
    for start in range(0, len(values), step):
        own = slice(start, start + step)
        parts = count_pixels(values[own], logits, None if kind is None else kind[own])
        mixed[own], mask[own] = parts[:2]
        counts += parts[2]
    return mixed, mask, counts


def _codes(values: Tensor, logits: bool, kind: Tensor | None) -> tuple[Tensor, Tensor]:
    logit = values if logits else as_logits(values)
    mask = logit > 0
    code = border_bands(mask).int().mul_(CELLS).add_(cell_numbers(logit)).mul_(4)
    return code if kind is None else code.add_(kind), mask


def as_logits(prob: Tensor) -> Tensor:
    """Logits of probabilities, above 0 for all above 1/2, infinite for 0 and 1."""
    return torch.logit(prob.clamp(0, 1))


def _long_axes(values: Tensor) -> list[int]:
    return [size for size in values.shape if size != 1]
