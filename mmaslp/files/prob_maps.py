"""Probability maps on disk: grey images, npy, npz, NIfTI; logits but as images."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from zipfile import ZipFile

import numpy as np
from torch import Tensor

from ..common.arguments import check_choice, check_number, optional
from ..common.arrays import ROUNDING
from ..common.inputs import check_file, check_unpacked
from .images import IMAGE_SUFFIXES, open_image, write_picture
from .nnunet_maps import SUM_TOLERANCE, NNUNetDataset, find_dataset, foreground
from .volumes import (
    NIFTI_SUFFIXES,
    Grid,
    grid_of,
    is_nifti,
    read_nifti,
    stem_of,
)

ARRAY_SUFFIXES = ('.npy', '.npz', *NIFTI_SUFFIXES)
MAP_SUFFIXES = (*IMAGE_SUFFIXES, *ARRAY_SUFFIXES)
BITS = {8: np.uint8, 16: np.uint16}

# Largest values of a whole set that stand for probability 1 in another scale, by the
# kind of the maps: 0/1 masks, per cent, 8 bits in 16, and 10 to 15 bits.
_OTHER_TOPS = {
    '8-bit': (1, 100),
    '16-bit': (1, 100, 255, 1000, 1023, 4095, 10000, 16383, 32767),
}


def write_prob_map(
    path: str | Path,
    prob: Tensor | np.ndarray,
    bits: int = 16,
    overwrite: bool = False,
) -> None:
    """Write a probability map, ``(H, W)`` in [0, 1], as grey PNG of 8 or 16 bits.

    See :func:`quantised`: it is read back within 0.5 / (2**bits - 1), 0.002 with 8 bits
    and 7.7e-6 with 16, and on the same side of 1/2.

    Raises:
        ValueError: ``bits``, ``path`` or ``prob`` is not of that kind.
        FileExistsError: The file is there already, and ``overwrite`` is False.
        OSError: It cannot be written; names the file.
    """
    check_choice('bits', bits, BITS)
    path = Path(path)
    if path.suffix.lower() != '.png':
        raise ValueError(f'{path}: probability maps are written as .png')
    prob = np.asarray(prob, dtype=np.float64)
    try:
        if prob.ndim != 2:
            raise ValueError(f'an image has shape (H, W), not {prob.shape}')
        _check_range(prob, 1.0)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    write_picture(path, quantised(prob, bits), overwrite)


def quantised(prob: np.ndarray, bits: int = 16) -> np.ndarray:
    """Round to the nearest of 2**bits grey values on the same side of 1/2.

    p = 1/2 is background, as in the decision p > 1/2, and has no grey value of its own.
    """
    top = 2**bits - 1
    below = top // 2
    above = top // 2 + 1
    rounded = np.rint(np.clip(prob, 0, 1) * top)
    sided = np.where(prob > 0.5, np.maximum(rounded, above), np.minimum(rounded, below))
    return sided.astype(BITS[bits])


@dataclass(frozen=True)
class Scale:
    """How far the values of a map go.

    A dark map may be right: a network that is sure of an empty scene gives one. So only
    the largest value of a whole set says that its scale is another one.

    Attributes:
        kind (str): Of the file, such as '8-bit'.
        high (float): Largest value in the file.
        top (float): The value that stands for probability 1.
        path (Path): The file.
    """

    kind: str
    high: float
    top: float
    path: Path

    def problem(self, max_value: float | None) -> str:
        """Say why the scale of a set with this largest value is not right, or ''."""
        if max_value is not None:
            least = max(max_value / 100, float(self.kind.startswith('float')))
            wrong = 0 < self.high <= least < max_value
            advice = f'no --max-value {max_value:g}'
        else:
            tops = _OTHER_TOPS.get(self.kind, ())
            low = self.kind == '16-bit' and 0 < self.high <= 255
            wrong = low or self.high in tops
            likely = 255 if low and self.high not in tops else self.high
            advice = (
                f'--max-value {likely:g} if that stands for probability 1, or '
                f'--max-value {self.top:g} if the maps are right so'
            )
        what = f'{self.high:g} is the largest value of all {self.kind} maps'
        return f'{self.path}: {what}: give {advice}' if wrong else ''


@dataclass(frozen=True)
class StoredMap:
    """A map as it was read.

    Attributes:
        values (np.ndarray): Probabilities in [0, 1] or logits, float32 or float64;
            ``(H, W)``, or ``(D, H, W)`` of volumes, their slices first.
        scale (Scale | None): Of the file; None of logits.
    """

    values: np.ndarray
    scale: Scale | None


@dataclass(frozen=True)
class MapReader:
    """Reads maps.

    Args:
        max_value (float, optional): The value that stands for probability 1, > 0; with
            it, 32-bit images and .npy files of integers or of another range are read
            too. Defaults to None: that of the kind of file.
        logits (bool): Whether the files hold logits, as .npy or .npz. Defaults to
            False.
        key (str, optional): Name of the array in .npz files. Defaults to None: the only
            one, or nnU-Net's ``probabilities``.
        channel (int | str, optional): The foreground among several channels of .npz,
            or its name in ``dataset.json``. Defaults to None: the only one.

    Raises:
        ValueError: ``max_value`` is not a number above 0.
    """

    max_value: float | None = None
    logits: bool = False
    key: str | None = None
    channel: int | str | None = None

    def __post_init__(self) -> None:
        optional(check_number, 'max_value', self.max_value, above=0)

    def read(self, path: str | Path) -> np.ndarray:
        """Read the values of one map, see :meth:`read_map`."""
        return self.read_map(path).values

    def read_map(self, path: str | Path) -> StoredMap:
        """Read one map.

        Args:
            path (str | Path): A grey 8-bit or 16-bit image (value / 255 or / 65535); a
                .npy, .npz or NIfTI file of floating point values in [0, 1], ``(H, W)``
                or ``(D, H, W)``; a .npz file of nnU-Net, ``(C, D, H, W)``; or, if asked
                for, logits, ``(H, W)`` or ``(D, H, W)``.

        Raises:
            ValueError: It is not such a file; the message names it and what to do.
        """
        path = Path(path)
        try:
            values, scale = self._read(path)
            return StoredMap(self.slices_first(values, path), scale)
        except ValueError as error:
            text = str(error)
            named = text.startswith(f'{path}: ')
            raise ValueError(text if named else f'{path}: {text}') from error

    def check_options(self, paths: Iterable[Path]) -> None:
        """Refuse options that have no effect on these files."""
        zipped = any(suffix_of(path) == '.npz' for path in paths)
        for name in ('key', 'channel'):
            if getattr(self, name) is not None and not (zipped or self.logits):
                raise ValueError(
                    f'--{name} has no effect without .npz maps: leave it out'
                )

    def slices_first(self, values: np.ndarray, path: str | Path) -> np.ndarray:
        """Put the axis of the slices of a map first, of its values or of its mask."""
        if values.ndim < 3:
            return values
        axis = self.slice_axis(path)
        return np.ascontiguousarray(np.moveaxis(values, axis, 0)) if axis else values

    def slice_axis(self, path: str | Path) -> int:
        """Axis of a volume that its slices are stacked along, as it is stored.

        Bands of distance lie in slices. nnU-Net's plan names the axis; without a plan
        it is that of the largest spacing, by the NIfTI file itself or one beside it;
        else the first.
        """
        dataset = self.dataset_of(path)
        if dataset is not None and dataset.slice_axis is not None:
            return dataset.slice_axis
        grid = self.grid_of(path)
        return 0 if grid is None else grid.slice_axis

    def grid_of(self, path: str | Path) -> Grid | None:
        """Grid of a map, by its NIfTI file or one beside it; None without one."""
        file = nifti_of(path)
        dataset = self.dataset_of(path)
        reorient = dataset is not None and dataset.reorient
        return None if file is None else grid_of(file, reorient)

    def dataset_of(self, path: str | Path) -> NNUNetDataset | None:
        """What nnU-Net's ``dataset.json`` says of a .npz map; None without one."""
        return find_dataset(Path(path).parent) if suffix_of(path) == '.npz' else None

    def _read(self, path: Path) -> tuple[np.ndarray, Scale | None]:
        check_file(path)
        suffix = suffix_of(path)
        if suffix in IMAGE_SUFFIXES and not self.logits:
            grey, kind, usual = _read_image(path)
            values, scale = self._scaled(path, grey, kind, usual)
            return values.clip(0, 1), scale
        if suffix not in ARRAY_SUFFIXES:
            known = ', '.join(ARRAY_SUFFIXES if self.logits else MAP_SUFFIXES)
            what = 'logits' if self.logits else 'maps'
            raise ValueError(f'{what} are read from files that end with {known}')

        values = _read_array(path, self.key)
        if values.dtype.kind not in 'biuf':
            raise ValueError(
                f'holds {values.dtype}; maps are floating point in [0, 1], or integers '
                'whose scale you state with --max-value'
            )
        if self.logits:
            return _checked_logits(values), None

        is_mask = values.dtype.kind != 'f' and values.max(initial=0) <= 1
        top = 1.0 if values.dtype.kind == 'f' or is_mask else None
        values, scale = self._scaled(path, values, str(values.dtype), top)
        if suffix == '.npz' and values.ndim == 4:
            values = foreground(values, self.channel, self.dataset_of(path))
        values = _checked_rank(values)
        kind = np.promote_types(values.dtype, np.float32)
        values = values.astype(kind, copy=False)
        rounding = values.min() < 0 or values.max() > 1
        return values.clip(0, 1) if rounding else values, scale

    def _scaled(
        self, path: Path, values: np.ndarray, kind: str, usual: float | None
    ) -> tuple[np.ndarray, Scale]:
        """Divide by the value that stands for 1."""
        top = self.max_value or usual
        if top is None:
            raise ValueError(
                f'holds {kind} integers up to {values.max(initial=0)}: state with '
                '--max-value which of them stands for probability 1'
            )

        _check_range(values, top)
        scale = Scale(kind, float(values.max()), top, path)
        if top == 1:
            return values, scale
        if values.dtype != np.float64:
            values = values.astype(np.float32)
        return values / values.dtype.type(top), scale


def highest(scales: Iterable[Scale]) -> list[Scale]:
    """The scale of the largest value of each kind, the first of equals."""
    found: dict[str, Scale] = {}
    for scale in scales:
        if scale.kind not in found or scale.high > found[scale.kind].high:
            found[scale.kind] = scale
    return [*found.values()]


def suffix_of(path: str | Path) -> str:
    """Ending of a file's name in small letters, which says what the file is."""
    suffix = Path(path).suffix.lower()
    return '.nii.gz' if suffix == '.gz' and is_nifti(path) else suffix


def nifti_of(path: str | Path) -> Path | None:
    """The NIfTI file that a map is or that lies beside it, as nnU-Net writes one."""
    path = Path(path)
    if is_nifti(path):
        return path
    stem = stem_of(path)
    beside = (path.with_name(f'{stem}{suffix}') for suffix in NIFTI_SUFFIXES)
    return next((file for file in beside if file.is_file()), None)


def _read_array(path: Path, key: str | None) -> np.ndarray:
    if is_nifti(path):
        return read_nifti(path)
    return StoredArray.read(path, key).values


@dataclass(frozen=True)
class StoredArray:
    """The array of a .npy file, or one of a .npz file, and how it was stored.

    ``key`` is its name, None in a .npy file; ``others`` are the other arrays.
    """

    values: np.ndarray
    key: str | None = None
    others: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def read(
        cls, path: Path, key: str | None = None, with_others: bool = False
    ) -> StoredArray:
        """Read a file; ``with_others`` also its other arrays."""
        check_file(path)
        try:
            # Of a .npy file nothing else is kept, so that its values may stay there.
            lazily = 'r' if with_others and suffix_of(path) == '.npy' else None
            found = np.load(path, mmap_mode=lazily, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return cls(found)
            with found:
                key = _chosen_key(found.files, key)
                names = [name for name in found.files if with_others and name != key]
                _check_members(found.zip, [key, *names])
                others = {name: found[name] for name in names}
                return cls(np.asarray(found[key]), key, others)  # a member may be text
        except Exception as error:  # numpy and zipfile raise a dozen types
            reason = getattr(error, 'strerror', None) or error
            raise ValueError(f'cannot be read ({reason})') from error

    def replaced(self, values: np.ndarray) -> memoryview:
        """Bytes of a file with other values in its place, in the shape of the first."""
        values = values.reshape(self.values.shape)
        buffer = io.BytesIO()
        if self.key is None:
            np.save(buffer, values)
        else:
            np.savez_compressed(buffer, **{self.key: values}, **self.others)
        return buffer.getbuffer()


def _chosen_key(names: Sequence[str], key: str | None) -> str:
    """Name of the array that is meant."""
    if key is None and 'probabilities' in names:
        return 'probabilities'
    if key is None and len(names) == 1:
        return names[0]
    if key is None or key not in names:
        raise ValueError(f'it holds {", ".join(names)}: name one with --key')
    return key


def _check_members(archive: ZipFile, keys: Sequence[str]) -> None:
    """Refuse a decompression bomb before it is unpacked."""
    members = {
        member.filename.removesuffix('.npy'): member for member in archive.infolist()
    }
    for member in (members[key] for key in keys if key in members):
        with archive.open(member) as stream:
            shape, dtype = _array_header(stream)
        check_unpacked(math.prod(shape), dtype.itemsize, member.compress_size)


def _array_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of the array of a .npy stream."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    return shape, dtype


def _read_image(path: Path) -> tuple[np.ndarray, str, float | None]:
    """Grey values, their kind, and the value that stands for 1."""
    with open_image(path, frames=1) as image:
        mode = image.mode
        kind = image.format
        values = np.asarray(image)

    if mode == 'L':
        return values, '8-bit', 255
    # Pillow before 10 reads 16-bit PNG as 'I', of 32 bits.
    if mode.startswith('I;16') or (mode == 'I' and kind == 'PNG'):
        return values, '16-bit', 65535
    if mode == 'I':
        return values, '32-bit', None
    raise ValueError(
        f'an image of mode {mode!r} is not a probability map: save one grey channel of '
        "8 or 16 bits (PIL modes 'L' and 'I;16')"
    )


def _checked_logits(values: np.ndarray) -> np.ndarray:
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f'a map of logits is floating point, not {values.dtype}')
    if np.isnan(values).any():
        raise ValueError(f'has {int(np.isnan(values).sum())} NaN values')
    return _checked_rank(values)


def _checked_rank(values: np.ndarray) -> np.ndarray:
    """Take ``(H, W)`` or ``(D, H, W)``, an image if D is 1, and no softmax."""
    if values.ndim not in (2, 3):
        raise ValueError(f'a map has shape (H, W) or (D, H, W), not {values.shape}')
    if values.ndim == 2:
        return values
    for axis in (0, 2):
        if values.shape[axis] == 2 and _adds_up(values, axis):
            raise ValueError(
                f'its shape is {values.shape} and two planes of it add up to 1, as '
                'background and foreground do: save the foreground alone, as (H, W)'
            )
    return values[0] if len(values) == 1 else values


def _adds_up(values: np.ndarray, axis: int) -> bool:
    total = values.sum(axis, dtype=np.float64)
    return bool(np.abs(total - 1).max(initial=0) < SUM_TOLERANCE)


def _check_range(values: np.ndarray, top: float) -> None:
    """Refuse NaN and values beyond [0, top] by more than rounding."""
    if not values.size:
        raise ValueError(f'has no pixels, its shape is {values.shape}')
    low = values.min()
    high = values.max()
    if np.isnan(low):
        raise ValueError(f'has {int(np.isnan(values).sum())} NaN values')
    rounding = top * ROUNDING
    if low >= -rounding and high <= top + rounding:
        return
    advice = 'apply sigmoid to logits before saving'
    if low >= -rounding:
        advice = (
            'apply sigmoid if they are logits; if they are per cent, say --max-value '
            '100, else which value stands for probability 1'
        )

    raise ValueError(
        f'values lie in [{low:.6g}, {high:.6g}], not in [0, {top:g}]: {advice}'
    )
