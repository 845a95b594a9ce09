"""How a volume lies in a patient, and every volume in one orientation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .volumes import AXES, Grid

# Where the axes of a turned volume lead to: to the feet, to the back, to the left.
TURNED = 'IPL'
# By axis of a turned volume, the name of a slice across it, and the sides at the left,
# right, top and bottom of its picture, as radiologists are used to them.
PLANES = (
    ('axial', ('R', 'L', 'A', 'P')),
    ('coronal', ('R', 'L', 'S', 'I')),
    ('sagittal', ('A', 'P', 'S', 'I')),
)
# Letters of the sides that mm count to and away from.
_SIDES = (('R', 'L'), ('A', 'P'), ('S', 'I'))


@dataclass(frozen=True)
class Placement:
    """Where the voxels of an array ``(D, H, W)`` lie.

    Attributes:
        affine (np.ndarray): ``(4, 4)`` from places along the axes of the array to mm
            towards the patient's right, front and head.
        axes (tuple[str, ...]): Which axis of the file each axis of the array is.
    """

    affine: np.ndarray
    axes: tuple[str, ...]

    @classmethod
    def of(cls, grid: Grid | None, slice_axis: int = 0) -> 'Placement | None':
        """Of a map whose slices were put first; None where sides are not known."""
        if grid is None or '?' in grid.orientation:
            return None
        order = [slice_axis, *(axis for axis in range(3) if axis != slice_axis)]
        columns = [2 - axis for axis in order]  # a file counts x, y, z
        affine = np.array(grid.affine)[:, [*columns, 3]]
        return cls(affine, tuple(AXES[axis] for axis in order))

    @cached_property
    def _turn(self) -> np.ndarray:
        from nibabel import orientations as nib

        now = nib.io_orientation(self.affine)
        return nib.ornt_transform(now, nib.axcodes2ornt(TURNED))

    @cached_property
    def spacing(self) -> np.ndarray:
        """``(3,)`` mm between voxels along the axes of a turned volume."""
        sizes = np.sqrt((self.affine[:3, :3] ** 2).sum(0))
        return sizes[np.argsort(self._turn[:, 0])]

    def turned(self, values: np.ndarray) -> np.ndarray:
        """Turn an array so that its axes lead to :data:`TURNED`."""
        from nibabel.orientations import apply_orientation

        return apply_orientation(values, self._turn)

    def turned_affine(self, shape: Sequence[int]) -> np.ndarray:
        """``(4, 4)`` affine of the turned array of an array of this shape."""
        from nibabel.orientations import inv_ornt_aff

        return self.affine @ inv_ornt_aff(self._turn, shape)

    def same_place(
        self, shape: Sequence[int], other: 'Placement', other_shape: Sequence[int]
    ) -> bool:
        """Whether the voxels of two arrays of these shapes lie at the same places."""
        ours, theirs = (
            np.array(size)[np.argsort(own._turn[:, 0])]
            for own, size in ((self, shape), (other, other_shape))
        )
        if not np.array_equal(ours, theirs):
            return False
        apart = self.turned_affine(shape) - other.turned_affine(other_shape)
        # Of the corner that is the farthest from the origin of the array.
        return bool(np.abs(apart @ [*ours, 1]).max() < self.spacing.min() / 2)

    def turned_mm(self, point: Sequence[float], shape: Sequence[int]) -> np.ndarray:
        """``(3,)`` mm towards right, front and head of a place in a turned array.

        ``shape`` is that of the turned array.
        """
        stored = np.array(shape)[self._turn[:, 0].astype(int)]
        return (self.turned_affine(stored) @ [*point, 1])[:3]

    def slice_in_file(self, axis: int, place: int, size: int) -> tuple[str, int]:
        """Axis of the file, and place along it, of a slice of a turned volume."""
        [own] = np.flatnonzero(self._turn[:, 0] == axis)
        flipped = self._turn[own, 1] < 0
        return self.axes[own], size - 1 - place if flipped else place


def side_text(axis: int, mm: float) -> str:
    """Write a place towards right, front or head, such as ``'L 12.5'``."""
    towards, away = _SIDES[axis]
    return f'{towards if mm >= 0 else away} {abs(mm):.1f}'


def place_text(mm: np.ndarray) -> str:
    """Write a point in mm, such as ``'L 12.5, A 3.0, S 40.2'``."""
    return ', '.join(side_text(axis, value) for axis, value in enumerate(mm))
