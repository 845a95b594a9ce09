"""The sums of every image, from which metrics are pooled again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..common.arguments import check_array, check_object, check_text
from ..common.bands import BORDER_EDGES, NUM_BANDS
from .band_table import BORDERS, BandTable
from .bins import BinTable, Columns, confidences_of_bins
from .errors import binned_metrics
from .objects import MaskTable


@dataclass(frozen=True, eq=False)
class ImageTable(Columns):
    """The sums of I images; those of all rows give the pooled metrics again.

    Attributes:
        names (list[str]): Of the images.
        table (BinTable): ``(I, bins)`` sums per bin of equal width.
        nll (np.ndarray): ``(I,)`` sums over pixels; also ``brier``.
        band_sums (np.ndarray | None): ``(I, 2, 5, 3)`` int64, :attr:`BandTable.sums`.
            None in positive mode and with more than two classes; so ``masks``.
        masks (MaskTable | None): Estimates of masks and objects, and their truth.
        checksums (np.ndarray | None): ``(I,)`` of the labels, which tell whether two
            results were measured with the same masks.
        groups (np.ndarray | None): ``(I,)`` int64, equal for images of one group; None
            if each image is a group of its own.
    """

    names: list[str]
    table: BinTable
    nll: np.ndarray
    brier: np.ndarray
    band_sums: np.ndarray | None = None
    masks: MaskTable | None = None
    checksums: np.ndarray | None = None
    groups: np.ndarray | None = None

    @classmethod
    def empty(cls, bins: int = 10) -> 'ImageTable':
        """Make a table without images."""
        counts = np.zeros((0, bins), np.int64)
        sums = np.zeros(0)
        return cls([], BinTable(counts, counts, counts.astype(float)), sums, sums)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def bands(self) -> BinTable | None:
        """``(I, 2, 5)`` sums by border and band."""
        if self.band_sums is None:
            return None
        count, correct, conf = np.moveaxis(self.band_sums, -1, 0)
        return BinTable(count, correct, conf / BandTable.UNIT)

    @property
    def num_pixels(self) -> np.ndarray:
        """``(I,)`` number of valid pixels per image."""
        return self.table.total

    @cached_property
    def group_numbers(self) -> np.ndarray:
        """``(I,)`` number of the group of each image, from 0 on."""
        if self.groups is None:
            return np.arange(len(self))
        return np.unique(self.groups, return_inverse=True)[1]

    @property
    def num_groups(self) -> int:
        """Number of groups, which is that of images where none are told."""
        return int(self.group_numbers.max(initial=-1)) + 1

    def grouped(self, numbers: Sequence[int] | np.ndarray) -> 'ImageTable':
        """Tell which images belong together: those of one number."""
        if np.shape(numbers) != (len(self),):
            raise ValueError(
                f'groups must have a number for each of {len(self)} images, not '
                f'{np.shape(numbers)}'
            )
        groups = check_array('groups', numbers, (-1,), int)
        return replace(self, groups=groups)

    def per_image(self) -> dict[str, np.ndarray]:
        """Binned metrics of every image on its own, ``(I,)``; nan without pixels."""
        return binned_metrics(self.table)

    def to_json(self) -> dict[str, Any]:
        """Return the table by columns, as JSON can hold it."""
        columns = {
            'names': self.names,
            **self.table.to_json(),
            'nll': self.nll.tolist(),
            'brier': self.brier.tolist(),
        }
        if self.checksums is not None:
            columns['checksums'] = self.checksums.tolist()
        if self.groups is not None:
            columns['groups'] = self.groups.tolist()
        if self.masks is not None:
            columns['masks'] = self.masks.to_json()
        if self.band_sums is not None:
            sums = self.band_sums.tolist()
            columns['bands'] = {'edges': list(BORDER_EDGES), 'sums': sums}
        return columns

    @classmethod
    def from_json(cls, columns: dict[str, Any], bins: int) -> 'ImageTable':
        """Rebuild a table of :meth:`to_json`.

        Raises:
            ValueError: Its columns do not fit, or hold what cannot have been counted;
                KeyError if one is missing.
        """
        names = [check_text('a name of an image', name) for name in columns['names']]
        size = len(names)
        count = check_array('count', columns['count'], (size, bins), int, low=0)
        correct = columns['correct']
        low, high = confidences_of_bins(bins)
        table = BinTable(
            count,
            check_array('correct', correct, count.shape, int, low=0, high=count),
            check_array(
                'conf', columns['conf'], count.shape, low=count * low, high=count * high
            ),
        )
        pixels = table.total
        # Of a pixel it is at most 16.2, since p is clamped.
        nll = check_array('nll', columns['nll'], (size,), low=0, high=17 * pixels)
        brier = check_array('brier', columns['brier'], (size,), low=0, high=pixels)

        images = cls(names, table, nll, brier)
        if 'bands' in columns:
            sums = _band_sums(check_object('bands', columns['bands']), pixels)
            images = replace(images, band_sums=sums)
        if 'masks' in columns:
            masks = MaskTable.from_json(check_object('masks', columns['masks']), pixels)
            images = replace(images, masks=masks)
        if 'checksums' in columns:
            checksums = check_array('checksums', columns['checksums'], (size,), int)
            images = replace(images, checksums=checksums)
        if 'groups' in columns:
            groups = check_array('groups', columns['groups'], (size,), int)
            images = images.grouped(groups)
        return images


def _band_sums(columns: dict[str, Any], pixels: np.ndarray) -> np.ndarray:
    """Read the sums by band of images of so many pixels."""
    if tuple(columns['edges']) != BORDER_EDGES:
        raise ValueError('the bands of the image table have other edges')
    shape = (len(pixels), len(BORDERS), NUM_BANDS, 3)
    sums = check_array('bands', columns['sums'], shape, int, low=0)
    most = sums[..., :1] * [1.0, 1.0, BandTable.UNIT]
    check_array('bands', sums, shape, high=most)
    if (sums[..., 0].sum(2) != pixels[:, None]).any():
        raise ValueError('bands and bins of an image hold other pixels')
    return sums
