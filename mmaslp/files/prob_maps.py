"""Probability maps on disk: grey images, npy, npz of nnU-Net; logits as npy and npz."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from torch import Tensor

from ..common.arguments import check_choice, check_number, optional
from ..common.arrays import ROUNDING
from .images import IMAGE_SUFFIXES, check_plain_file, open_image, write_picture
from .nnunet_maps import NNUNetDataset, find_dataset, foreground

MAP_SUFFIXES = (*IMAGE_SUFFIXES, '.npy', '.npz')
BITS = {8: np.uint8, 16: np.uint16}
# An array that unpacks to more bytes, and to so many times its size, is a bomb.
MAX_UNPACKED = 2**31
MAX_RATIO = 200

# The largest value of a whole set that stands for probability 1 in another scale, by
# the kind of the maps: 0/1 masks, per cent, 8 bits in 16, and 10 to 15 bits.
_OTHER_TOPS = {
    '8-bit': (1, 100),
    '16-bit': (1, 100, 255, 1000, 1023, 4095, 10000, 16383, 32767),
}


def write_prob_map(path: str | Path, prob: Tensor | np.ndarray, bits: int = 16) -> None:
    """Write a probability map, ``(H, W)`` in [0, 1], as grey PNG of 8 or 16 bits.

    See :func:`quantised`: it is read back within 0.5 / (2**bits - 1), 0.002 with 8 bits
    and 7.7e-6 with 16, and on the same side of 1/2.

    Raises:
        ValueError: ``bits``, ``path`` or ``prob`` is not of that kind; or the file that
            is there is not a map or picture of mmaslp.
        OSError: It cannot be written; names the file.
    """
    check_choice('bits', bits, BITS)
    path = Path(path)
    if path.suffix.lower() != '.png':
        raise ValueError(f'{path}: probability maps are written as .png')
    prob = np.asarray(prob, dtype=np.float64)
    try:
        _check_shape(prob)
        _check_range(prob, 1.0)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    write_picture(path, quantised(prob, bits))


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


class MapReader:
    """Reads the maps of one set and remembers how far their values go.

    A dark map may be right: a network that is sure of an empty scene gives one. So
    only the largest value of the whole set says that the scale is another one. Nothing
    but that value is kept.

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

    def __init__(
        self,
        max_value: float | None = None,
        logits: bool = False,
        key: str | None = None,
        channel: int | str | None = None,
    ) -> None:
        self.max_value = optional(check_number, 'max_value', max_value, above=0)
        self.logits = logits
        self.key = key
        self.channel = channel
        self._highest: dict[str, tuple[float, Path, float]] = {}
        self._zipped = False
        self._datasets: dict[Path, NNUNetDataset | None] = {}

    def read(self, path: str | Path) -> np.ndarray:
        """Read one map.

        Args:
            path (str | Path): A grey 8-bit or 16-bit image (value / 255 or / 65535); a
                .npy file of floating point values in [0, 1], ``(H, W)`` or
                ``(1, H, W)``; a .npz file of them or of nnU-Net, ``(C, D, H, W)``; or,
                if asked for, logits, ``(H, W)`` or ``(D, H, W)``.

        Returns:
            np.ndarray: Probabilities in [0, 1], float32 or float64, or logits;
            ``(H, W)``, or ``(D, H, W)`` of volumes.

        Raises:
            ValueError: It is not such a file; the message names it and what to do.
        """
        path = Path(path)
        check_plain_file(path)
        self._zipped |= suffix_of(path) == '.npz'
        try:
            return self._read(path)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error

    def _read(self, path: Path) -> np.ndarray:
        suffix = suffix_of(path)
        if suffix in IMAGE_SUFFIXES and not self.logits:
            grey, kind, usual = _read_image(path)
            _check_shape(grey)
            return self._scaled(path, grey, kind, usual).clip(0, 1)
        if suffix not in ('.npy', '.npz'):
            known = ', '.join(('.npy', '.npz') if self.logits else MAP_SUFFIXES)
            what = 'logits' if self.logits else 'maps'
            raise ValueError(f'{what} are read from files that end with {known}')
        values = StoredArray.read(path, self.key).values
        if values.dtype.kind not in 'iuf':
            raise ValueError(
                f'holds {values.dtype}; maps are floating point in [0, 1], or integers '
                'whose scale you state with --max-value'
            )
        if self.logits:
            return _checked_logits(values)

        top = 1.0 if values.dtype.kind == 'f' else None
        values = self._scaled(path, values, str(values.dtype), top)
        if values.ndim == 3 and values.shape[0] == 1:
            values = values[0]
        if suffix == '.npz':
            return foreground(values, self.channel, self.dataset_of(path))
        _check_shape(values)
        values = values.astype(np.promote_types(values.dtype, np.float32))
        return values.clip(0, 1)

    def _scaled(
        self, path: Path, values: np.ndarray, kind: str, usual: float | None
    ) -> np.ndarray:
        """Divide by the value that stands for 1."""
        top = self.max_value or usual
        if top is None:
            raise ValueError(
                f'holds {kind} integers up to {values.max(initial=0)}: state with '
                '--max-value which of them stands for probability 1'
            )

        _check_range(values, top)
        high = float(values.max())
        if high > self._highest.get(kind, (-np.inf,))[0]:
            self._highest[kind] = high, path, top
        if top == 1:
            return values
        if values.dtype != np.float64:
            values = values.astype(np.float32)
        return values / values.dtype.type(top)

    def dataset_of(self, path: str | Path) -> NNUNetDataset | None:
        """What nnU-Net's ``dataset.json`` says of a .npz map; None without one."""
        if suffix_of(path) != '.npz':
            return None
        folder = Path(path).parent
        if folder not in self._datasets:
            self._datasets[folder] = find_dataset(folder)
        return self._datasets[folder]

    def merge(self, other: MapReader) -> None:
        """Take in what another reader of the same set has seen."""
        for kind, seen in other._highest.items():
            if seen[0] > self._highest.get(kind, (-np.inf,))[0]:
                self._highest[kind] = seen
        self._zipped |= other._zipped

    def problem(self) -> str:
        """Say, after the last map, why the options cannot be right; '' if they can."""
        for name in ('key', 'channel'):
            if getattr(self, name) is not None and not (self._zipped or self.logits):
                return f'--{name} has no effect without .npz maps: leave it out'

        for kind, (high, path, top) in self._highest.items():
            if kind.startswith('float') and 0 < high <= 1 < top:
                return f'{path}: floats up to {high:g} take no --max-value {top:g}'
            if self.max_value and 0 < high <= top / 100:
                return f'{path}: {high:g} is the largest value: no --max-value {top:g}'
            likely = None if self.max_value else _other_top(kind, high)
            if likely is not None:
                return (
                    f'{path}: its {high:g} is the largest value of all {kind} maps, so '
                    f'no probability would be above {high / top:.2g}: their scale is '
                    'another one. State which value stands for probability 1: '
                    f'--max-value {likely}, or --max-value {top:g} if the maps are '
                    'right so'
                )

        return ''


def _other_top(kind: str, high: float) -> int | None:
    """The value that stands for 1 in maps that end at ``high``; None if all is well."""
    if high in _OTHER_TOPS.get(kind, ()):
        return int(high)
    # 16-bit maps that end at or below 255 hold 8 bits.
    return 255 if kind == '16-bit' and 0 < high <= 255 else None


def suffix_of(path: str | Path) -> str:
    """Ending of a file's name in small letters, which says what the file is."""
    return Path(path).suffix.lower()


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
        try:
            found = np.load(path, allow_pickle=False)
            if isinstance(found, np.ndarray):
                return cls(found)
            with found:
                key = _chosen_key(found.files, key)
                names = [name for name in found.files if with_others and name != key]
                _check_unpacked(found.zip, [key, *names])
                others = {name: found[name] for name in names}
                return cls(np.asarray(found[key]), key, others)  # a member may be text
        except Exception as error:  # numpy and zipfile raise a dozen types
            reason = getattr(error, 'strerror', None) or error
            raise ValueError(f'cannot be read ({reason})') from error

    def replaced(self, values: np.ndarray) -> bytes:
        """Bytes of a file with other values in its place, in the shape of the first."""
        values = values.reshape(self.values.shape)
        buffer = io.BytesIO()
        if self.key is None:
            np.save(buffer, values)
        else:
            np.savez_compressed(buffer, **{self.key: values}, **self.others)
        return buffer.getvalue()


def _chosen_key(names: Sequence[str], key: str | None) -> str:
    """Name of the array that is meant."""
    if key is None and 'probabilities' in names:
        return 'probabilities'
    if key is None and len(names) == 1:
        return names[0]
    if key is None or key not in names:
        raise ValueError(f'it holds {", ".join(names)}: name one with --key')
    return key


def _check_unpacked(archive: ZipFile, keys: Sequence[str]) -> None:
    """Refuse a decompression bomb before it is unpacked."""
    members = {
        member.filename.removesuffix('.npy'): member for member in archive.infolist()
    }
    for member in (members[key] for key in keys if key in members):
        ratio = member.file_size / max(member.compress_size, 1)
        if member.file_size > MAX_UNPACKED and ratio > MAX_RATIO:
            raise ValueError(
                f'it unpacks to {member.file_size:,} bytes, {ratio:.0f} times its '
                'size, as no map does'
            )


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
    if values.ndim > 2 and len(values) == 1:
        values = values[0]
    if values.ndim not in (2, 3) or not np.issubdtype(values.dtype, np.floating):
        raise ValueError(
            'a map of logits is floating point, (H, W) or (D, H, W), not '
            f'{values.dtype} of {values.shape}'
        )
    if np.isnan(values).any():
        raise ValueError(f'has {int(np.isnan(values).sum())} NaN values')
    return values


def _check_shape(values: np.ndarray) -> None:
    if values.ndim != 2:
        raise ValueError(f'a map has shape (H, W), not {values.shape}')


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
