"""Volumes on disk: NIfTI files as arrays ``(D, H, W)``, and which way slices lie.

NIfTI counts axes as x, y, z, arrays as z, y, x. So the array of a file of ``(X, Y, Z)``
voxels is ``(Z, Y, X)``, as nnU-Net and SimpleITK have it.
"""

import gzip
import io
import math
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

NIFTI_SUFFIXES = ('.nii.gz', '.nii')
AXES = ('z', 'y', 'x')
# An axis is the coarsest if its spacing is larger than the others' by this factor.
COARSER = 1.1
# An array that unpacks to more bytes, and to so many times its size, is a bomb.
MAX_UNPACKED = 2**31
MAX_RATIO = 200


def is_nifti(path: str | Path) -> bool:
    """Whether a file is NIfTI by its name."""
    return Path(path).name.lower().endswith(NIFTI_SUFFIXES)


def stem_of(path: str | Path) -> str:
    """Name of a file without its ending, which may be ``.nii.gz``."""
    name = Path(path).name
    ending = next((end for end in NIFTI_SUFFIXES if name.lower().endswith(end)), None)
    return name[: -len(ending)] if ending else Path(path).stem


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a NIfTI file lie.

    Attributes:
        spacing (tuple[float, ...]): In mm along z, y, x.
        orientation (str): Where x, y and z lead to, such as ``'RAS'``.
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
        return math.prod(self.spacing)


def grid_of(path: str | Path, reorient: bool = False) -> Grid:
    """Read the header of a NIfTI file."""
    image = _load(Path(path), reorient)
    spacing = [float(size) for size in image.header.get_zooms()[:3]]
    spacing += [1.0] * (3 - len(spacing))
    codes: tuple[str | None, ...] = (None,) * 3
    if np.isfinite(image.affine).all():
        codes = _nibabel(path).aff2axcodes(image.affine)
    orientation = ''.join(code or '?' for code in codes)
    affine = tuple(map(tuple, image.affine.tolist()))
    return Grid(tuple(spacing[::-1]), orientation, affine)


def read_nifti(path: str | Path, reorient: bool = False) -> np.ndarray:
    """Read the values of a NIfTI file, ``(D, H, W)``, or ``(H, W)`` if D is 1.

    ``reorient`` turns it to RAS first, as nnU-Net's NibabelIOWithReorient does.

    Raises:
        ValueError: It cannot be read, or is not one volume.
        ImportError: nibabel is not installed.
    """
    path = Path(path)
    image = _load(path, reorient)
    shape = image.shape
    if len(shape) > 3 and math.prod(shape[3:]) == 1:
        shape = shape[:3]
    if len(shape) not in (2, 3):
        raise ValueError(f'has the shape {image.shape}: keep one volume in a file')
    size = math.prod(shape) * image.get_data_dtype().itemsize
    check_unpacked(size, path.stat().st_size)

    try:
        values = np.asanyarray(image.dataobj).reshape(shape, order='F')
    except Exception as error:  # gzip, zlib and numpy raise a dozen types
        raise ValueError(f'cannot be read ({error})') from error
    values = values.T  # z, y, x
    return values[0] if values.ndim == 3 and len(values) == 1 else values


def check_unpacked(size: int, packed: int) -> None:
    """Refuse a decompression bomb before it is unpacked, by its bytes."""
    ratio = size / max(packed, 1)
    if size > MAX_UNPACKED and ratio > MAX_RATIO:
        raise ValueError(
            f'it unpacks to {size:,} bytes, {ratio:.0f} times its size, as no map does'
        )


def nifti_like(
    path: str | Path, values: np.ndarray, reorient: bool = False
) -> memoryview:
    """Bytes of a NIfTI file of other values on the grid of one, compressed as it is.

    ``values`` lie as :func:`read_nifti` gave them. Header and affine stay, but for the
    type of the values.
    """
    path = Path(path)
    image = _load(path, reorient)
    shape = tuple(size for size in image.shape if size > 1)
    squeezed = values.squeeze().T
    if squeezed.shape != shape:
        raise ValueError(f'{path}: has the shape {image.shape}, not that of the map')
    header = image.header.copy()
    header.set_data_dtype(values.dtype)
    header.set_slope_inter(1, 0)

    data = squeezed.reshape(image.shape, order='F')
    written = type(image)(data, image.affine, header)
    buffer = io.BytesIO()
    if path.suffix == '.gz':
        # Without the time, so that a second call gives the same bytes.
        with gzip.GzipFile('', 'wb', 1, buffer, mtime=0) as stream:
            written.to_stream(stream)
    else:
        written.to_stream(buffer)
    return buffer.getbuffer()


def check_same_orientation(one: Path, other: Path) -> None:
    """Refuse two NIfTI files whose axes lead to other sides: one would be mirrored."""
    if not (is_nifti(one) and is_nifti(other)):
        return
    first, second = (grid_of(path).orientation for path in (one, other))
    if first != second:
        raise ValueError(
            f'{one}: its axes lead to {first}, those of its mask {other} to {second}, '
            'so one of them would be mirrored: save both with the affine of their image'
        )


def _load(path: Path, reorient: bool = False) -> Any:
    nibabel = _nibabel(path)
    try:
        image = nibabel.load(path)
    except OSError:
        raise
    except Exception as error:  # nibabel raises its own types
        raise ValueError(f'cannot be read as NIfTI ({error})') from error
    if reorient:
        image = image.as_reoriented(nibabel.orientations.io_orientation(image.affine))
    return image


def _nibabel(path: str | Path) -> ModuleType:
    try:
        import nibabel
    except ImportError as error:
        raise ImportError(
            f'{path}: NIfTI files need nibabel: pip install "mmaslp[volumes]"'
        ) from error
    return nibabel
