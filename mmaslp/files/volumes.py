"""Volumes on disk: NIfTI files as arrays ``(D, H, W)``, and how they lie in a patient.

NIfTI counts axes as x, y, z, arrays as z, y, x. So the array of a file of ``(X, Y, Z)``
voxels is ``(Z, Y, X)``, as nnU-Net and SimpleITK have it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ..common.extras import import_extra
from ..common.inputs import check_file, check_unpacked
from .gzipped import compressed, open_gzip

NIFTI_SUFFIXES = ('.nii.gz', '.nii')
AXES = ('z', 'y', 'x')
# An axis is the coarsest if its spacing is larger than the others' by this factor.
COARSER = 1.1
# A unit of NIfTI in mm.
UNITS = {'meter': 1000.0, 'micron': 0.001}
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


def is_nifti(path: str | Path) -> bool:
    """Whether a file is NIfTI by its name."""
    return str(path).lower().endswith(NIFTI_SUFFIXES)


def stem_of(path: str | Path) -> str:
    """Name of a file without its ending, which may be ``.nii.gz``."""
    path = Path(path)
    for ending in NIFTI_SUFFIXES:
        if path.name.lower().endswith(ending):
            return path.name[: -len(ending)]
    return path.stem


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a NIfTI file lie.

    Attributes:
        spacing (tuple[float, ...]): In mm along z, y, x.
        orientation (str): Where x, y and z lead to, such as ``'RAS'``, or ``'???'`` if
            the file does not say so.
        affine (tuple[tuple[float, ...], ...]): 4 x 4, from places along x, y, z to mm
            towards the patient's right, front and head.
    """

    spacing: tuple[float, ...]
    orientation: str
    affine: tuple[tuple[float, ...], ...]

    @property
    def slice_axis(self) -> int:
        """int: Axis of the array that slices are stacked along: the coarsest one."""
        coarsest = int(np.argmax(self.spacing))
        return coarsest if self.spacing[coarsest] > COARSER * self.spacing[0] else 0

    @property
    def voxel(self) -> float:
        """float: Volume of a voxel in mm3."""
        return float(abs(np.linalg.det(np.array(self.affine)[:3, :3])))

    @property
    def is_placed(self) -> bool:
        """bool: Whether the sides of the patient are known."""
        return '?' not in self.orientation

    @cached_property
    def _turn(self) -> np.ndarray:
        from nibabel import orientations as nib

        return nib.ornt_transform(
            nib.io_orientation(self._of_array), nib.axcodes2ornt(TURNED)
        )

    @property
    def _of_array(self) -> np.ndarray:
        """``(4, 4)`` affine of places along z, y, x."""
        return np.array(self.affine)[:, [2, 1, 0, 3]]

    @property
    def turned_spacing(self) -> np.ndarray:
        """``(3,)`` mm between voxels along the axes of a turned volume."""
        return np.array(self.spacing)[np.argsort(self._turn[:, 0])]

    def turned(self, values: np.ndarray) -> np.ndarray:
        """Turn an array so that its axes lead to :data:`TURNED`."""
        from nibabel.orientations import apply_orientation

        return apply_orientation(values, self._turn)

    def _turned_affine(self, shape: Sequence[int]) -> np.ndarray:
        """``(4, 4)`` affine of the turned array of an array of this shape."""
        from nibabel.orientations import inv_ornt_aff

        return self._of_array @ inv_ornt_aff(self._turn, shape)

    def _turned_shape(self, shape: Sequence[int]) -> np.ndarray:
        """``(3,)`` shape of the turned array of an array of this shape."""
        return np.array(shape)[np.argsort(self._turn[:, 0])]

    def same_place(
        self, shape: Sequence[int], other: 'Grid', other_shape: Sequence[int]
    ) -> bool:
        """Whether the voxels of two arrays of these shapes lie at the same places."""
        turned_shape = self._turned_shape(shape)
        if not np.array_equal(turned_shape, other._turned_shape(other_shape)):
            return False
        apart = self._turned_affine(shape) - other._turned_affine(other_shape)
        corners = np.array([*product(*[(0, size) for size in turned_shape], [1])])
        # Files keep float32: half a voxel may come as a little less.
        return bool(np.abs(corners @ apart.T).max() < 0.49 * min(self.spacing))

    def turned_mm(self, point: Sequence[float], shape: Sequence[int]) -> np.ndarray:
        """``(3,)`` mm towards right, front and head of a place in a turned array.

        ``shape`` is that of the turned array.
        """
        stored = np.array(shape)[self._turn[:, 0].astype(int)]
        return (self._turned_affine(stored) @ [*point, 1])[:3]

    def slice_in_file(self, axis: int, place: int, size: int) -> tuple[str, int]:
        """Axis of the file, and place along it, of a slice of a turned volume."""
        [stored] = np.flatnonzero(self._turn[:, 0] == axis)
        return AXES[stored], size - 1 - place if self._turn[stored, 1] < 0 else place


def side_text(axis: int, mm: float) -> str:
    """Write a place towards right, front or head, such as ``'L 12.5'``."""
    towards, away = _SIDES[axis]
    return f'{towards if mm >= 0 else away} {abs(mm):.1f}'


def place_text(mm: np.ndarray) -> str:
    """Write a point in mm, such as ``'L 12.5, A 3.0, S 40.2'``; '-' of nan."""
    if np.isnan(mm).any():
        return '-'
    return ', '.join(side_text(axis, value) for axis, value in enumerate(mm))


def grid_of(path: str | Path, reorient: bool = False) -> Grid:
    """Read the header of a NIfTI file; ``reorient`` as in :func:`read_nifti`."""
    image = _load(path)
    affine = np.array(image.affine)
    orientation = '???'
    # A singular one leads nowhere.
    if np.isfinite(affine).all() and np.linalg.cond(affine[:3, :3]) < 1e9:
        if reorient:
            tools = _nibabel(path).orientations
            affine = affine @ tools.inv_ornt_aff(
                tools.io_orientation(affine), image.shape[:3]
            )
        orientation = ''.join(_nibabel(path).aff2axcodes(affine))
    else:
        sizes = [*image.header.get_zooms(), 1][:3]  # an image has two
        affine = np.diag([*map(float, sizes), 1.0])

    affine[:3] *= UNITS.get(image.header.get_xyzt_units()[0], 1.0)
    spacing = np.sqrt((affine[:3, :3] ** 2).sum(0))
    return Grid(
        tuple(spacing[::-1].tolist()), orientation, tuple(map(tuple, affine.tolist()))
    )


def read_nifti(path: Path, reorient: bool = False) -> np.ndarray:
    """Read the values of a NIfTI file, ``(D, H, W)``, or ``(H, W)`` if D is 1.

    ``reorient`` turns it to RAS first, as nnU-Net's NibabelIOWithReorient does.

    Raises:
        ValueError: It cannot be read, or is not one volume.
        ImportError: nibabel is not installed.
    """
    image = _load(path)
    shape = _shape(image)
    scaled = image.dataobj.slope != 1 or image.dataobj.inter != 0
    itemsize = 8 if scaled else image.get_data_dtype().itemsize
    check_unpacked(math.prod(shape) * itemsize, path.stat().st_size)
    if image.dataobj.offset < image.header.single_vox_offset:
        raise ValueError('its values begin before its header ends (vox_offset)')
    try:
        if path.suffix.lower() == '.gz':
            stored = math.prod(shape) * image.get_data_dtype().itemsize
            most = int(image.dataobj.offset) + stored + 2**20  # of padding
            with open_gzip(path) as file:  # whole, up to the checksum at its end
                data = file.read(most)
            if len(data) == most:
                raise ValueError('it goes on behind its values')
            image = type(image).from_bytes(data)
        if reorient:
            image = _nibabel(path).as_closest_canonical(image)
        values = np.asanyarray(image.dataobj)
    except Exception as error:  # gzip, zlib and numpy raise a dozen types
        raise ValueError(f'cannot be read ({error}): write it again') from error

    values = values.reshape(_shape(image), order='F').T  # z, y, x
    return values[0] if values.ndim == 3 and len(values) == 1 else values


def nifti_like(
    path: Path, values: np.ndarray, reorient: bool = False, comment: str = ''
) -> bytes:
    """Bytes of a NIfTI file of other values on the grid of one, compressed as it is.

    ``values`` lie as :func:`read_nifti` gave them. Header and affine stay, but for the
    type of the values and a comment that is added.
    """
    image = _load(path)
    if reorient:
        image = _nibabel(path).as_closest_canonical(image)
    if values.T.shape != image.shape[: values.ndim] or values.size != math.prod(
        image.shape
    ):
        raise ValueError(f'{path}: has the shape {image.shape}, not that of the map')
    header = image.header.copy()
    header.set_data_dtype(values.dtype)
    header.set_slope_inter(1, 0)
    if comment:
        added = _nibabel(path).nifti1.Nifti1Extension('comment', comment.encode())
        # The list of the header is that of the file, which is read once.
        header.extensions = type(header.extensions)([*header.extensions, added])

    stored = values.T.reshape(image.shape, order='F')
    # The header holds the affine, as it was, also one of NaN.
    data = type(image)(stored, None, header).to_bytes()
    return compressed(data) if path.suffix.lower() == '.gz' else data


def comments_of(path: str | Path) -> list[bytes]:
    """The comments in the header of a NIfTI file."""
    return [
        extension.get_content()
        for extension in _load(path).header.extensions
        if extension.get_code() == 6  # a comment, as NIfTI has them
    ]


def _shape(image: Any) -> tuple[int, ...]:
    """Shape along x, y, z, without the axes of size 1 behind."""
    shape = image.shape
    if len(shape) < 2 or math.prod(shape[3:]) != 1:
        raise ValueError(f'has the shape {shape}: keep one volume in a file')
    return shape[:3]


def _load(path: str | Path) -> Any:
    """Open a NIfTI file; its header is read once."""
    check_file(path)
    status = Path(path).stat()
    return _loaded(str(path), status.st_mtime_ns, status.st_size)


@lru_cache(8)
def _loaded(path: str, time: int, size: int) -> Any:
    try:
        image = _nibabel(path).load(path)
        image.header.get_xyzt_units()
        return image
    except Exception as error:  # nibabel raises its own types
        raise ValueError(
            f'cannot be read as NIfTI ({error}): write it again'
        ) from error


def _nibabel(path: str | Path) -> Any:
    return import_extra('nibabel', 'volumes', f'{path}: a NIfTI file')
