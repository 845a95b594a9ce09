"""Probability maps on disk: grey images, npy, npz, NIfTI; logits but as images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.format import MAGIC_PREFIX
from torch import Tensor

from ..common.arguments import (
    check_bool,
    check_choice,
    check_integer,
    check_number,
    check_path,
    check_text,
    optional,
)
from ..common.arrays import ROUNDING, as_tensor
from ..common.inputs import check_file, check_unpacked, naming
from .images import IMAGE_SUFFIXES, is_calibrated, open_image, write_picture
from .nnunet_maps import SUM_TOLERANCE, described
from .stored_maps import StoredMap, suffix_of
from .volumes import NIFTI_SUFFIXES, is_nifti, read_nifti

NNUNET_KEY = 'probabilities'  # of its maps, among other arrays
ARRAY_SUFFIXES = ('.npy', '.npz', *NIFTI_SUFFIXES)
MAP_SUFFIXES = (*IMAGE_SUFFIXES, *ARRAY_SUFFIXES)
BITS = {8: np.uint8, 16: np.uint16}


def write_prob_map(
    path: str | Path,
    prob: Tensor | np.ndarray,
    bits: int = 16,
    overwrite: bool = False,
    software: str = '',
) -> None:
    """Write a probability map, ``(H, W)`` in [0, 1], as grey PNG of 8 or 16 bits.

    See :func:`quantised`: it is read back within 0.5 / (2**bits - 1), 0.002 with 8 bits
    and 7.7e-6 with 16, and on the same side of 1/2. ``software`` is named in the file.

    Raises:
        ValueError: ``bits``, ``path`` or ``prob`` is not of that kind.
        FileExistsError: The file is there already, and ``overwrite`` is False.
        OSError: It cannot be written; names the file.
    """
    check_choice('bits', bits, BITS)
    path = Path(check_path('path', path))
    if path.suffix.lower() != '.png':
        raise ValueError(f'{path}: probability maps are written as .png')
    prob = as_tensor(prob).cpu().double().numpy()
    with naming(path):
        if prob.ndim != 2:
            raise ValueError(f'an image has shape (H, W), not {prob.shape}')
        _check_range(prob, 1.0)
    write_picture(path, quantised(prob, bits), overwrite, software)


def quantised(prob: np.ndarray, bits: int = 16) -> np.ndarray:
    """Round to the nearest of 2**bits grey values on the same side of 1/2.

    p = 1/2 is background, as in the decision p > 1/2, and has no grey value of its own.
    """
    top = 2**bits - 1
    grey = np.rint(np.clip(prob, 0, 1) * top)
    above = np.maximum(grey, top // 2 + 1)
    return np.where(prob > 0.5, above, np.minimum(grey, top // 2)).astype(BITS[bits])


@dataclass(frozen=True)
class MapReader:
    """Reads maps.

    Args:
        max_value (float, optional): The value that stands for probability 1, > 0; with
            it, 32-bit images and .npy files of integers or of another range are read
            too. Defaults to None: that of the kind of file.
        logits (bool): Whether the files hold logits, as .npy, .npz or NIfTI. Defaults
            to False.
        key (str, optional): Name of the array in .npz files. Defaults to None: the only
            one, or nnU-Net's ``probabilities``.
        channel (int | str, optional): The foreground among several channels of .npz,
            or its name in ``dataset.json``. Defaults to None: the only one.

    Raises:
        ValueError: An argument is of another type or out of its range.
    """

    max_value: float | None = None
    logits: bool = False
    key: str | None = None
    channel: int | str | None = None

    def __post_init__(self) -> None:
        optional(check_number, 'max_value', self.max_value, above=0)
        check_bool('logits', self.logits)
        optional(check_text, 'key', self.key)
        check = check_text if isinstance(self.channel, str) else check_integer
        optional(check, 'channel', self.channel)

    def read(self, path: str | Path | StoredMap) -> np.ndarray:
        """Read one map.

        Args:
            path (str | Path | StoredMap): A grey 8-bit or 16-bit image (value / 255 or
                / 65535); a .npy, .npz or NIfTI file of floating point values in [0, 1],
                ``(H, W)`` or ``(D, H, W)``; a .npz file of nnU-Net, ``(C, D, H, W)``;
                or, if asked for, logits, ``(H, W)`` or ``(D, H, W)``.

        Returns:
            np.ndarray: Probabilities in [0, 1] or logits, float32 or float64;
            ``(H, W)``, or ``(D, H, W)`` of volumes, their slices first.

        Raises:
            ValueError: It is not such a file; the message names it and what to do.
        """
        stored = StoredMap.at(path)
        with naming(stored.path):
            return stored.slices_first(self._read(stored))

    def check_highest(self, highest: float, paths: Iterable[Path]) -> None:
        """Refuse the largest value of a set that shows another scale.

        A dark map may be right: a network that is sure of an empty scene gives one. So
        the whole set decides.
        """
        images = all(suffix_of(path) in IMAGE_SUFFIXES for path in paths)
        # Per cent in 8 bits end at 100 / 255.
        least = 0.4 if images and self.max_value is None else 0.01
        if not self.logits and 0 < highest <= least:
            raise ValueError(
                f'the largest probability in all maps is {highest:.3g}: say with '
                '`max_value` which stored value means probability 1 (255 for 8 bits, '
                '65535 for 16 bits if the maps are right as they are)'
            )

    def _read(self, stored: StoredMap) -> np.ndarray:
        suffix = stored.suffix
        if suffix != '.npz' and (self.key, self.channel) != (None, None):
            raise ValueError('`key` and `channel` are for .npz maps: leave them out')
        if suffix in ARRAY_SUFFIXES and self.logits:
            return self._read_logits(stored)
        if suffix in ARRAY_SUFFIXES:
            return self._read_probabilities(stored)
        if suffix in IMAGE_SUFFIXES and not self.logits:
            return self._read_grey(stored.path)

        if self.logits:
            raise ValueError(
                f'logits are read from files that end with {", ".join(ARRAY_SUFFIXES)}'
            )
        raise ValueError(
            f'maps are read from files that end with {", ".join(MAP_SUFFIXES)}'
        )

    def _read_grey(self, path: Path) -> np.ndarray:
        values, usual = _read_image(path)
        if usual and self.max_value and self.max_value > usual:
            raise ValueError(f'its values end at {usual}: lower `max_value`')
        return self._scaled(path, values, usual)

    def _read_logits(self, stored: StoredMap) -> np.ndarray:
        values = self._read_numbers(stored, 'f')
        _check_numbers(values)
        return _checked_rank(values)

    def _read_probabilities(self, stored: StoredMap) -> np.ndarray:
        values = self._read_numbers(stored, 'biuf')
        usual = None
        if values.dtype.kind == 'f' or values.max(initial=0) <= 1:
            usual = 1.0
        values = self._scaled(stored.path, values, usual)

        if stored.suffix == '.npz' and values.ndim == 4:
            values = values[described(values, stored.dataset).index(self.channel)]
        return _checked_rank(values)

    def _read_numbers(self, stored: StoredMap, kinds: str) -> np.ndarray:
        """Read an array of these kinds of numbers; with channels if one is chosen.

        The foreground alone, as `apply` writes it of several classes, needs the name
        of its channel for its labels.
        """
        values = read_array(stored.path, self.key, NNUNET_KEY)
        if values.dtype.kind not in kinds:
            raise ValueError(
                f'contains {values.dtype}; maps are floating point in [0, 1] or '
                'logits, or integers whose scale you state with `max_value`'
            )
        is_alone = values.ndim == 3 and stored.dataset is not None
        if self.channel is not None and values.ndim != 4 and not is_alone:
            raise ValueError(
                f'`channel={self.channel!r}`: its shape {values.shape} has no axis of '
                'channels, which is the first of four: leave it out'
            )
        return values

    def _scaled(
        self, path: Path, values: np.ndarray, usual: float | None
    ) -> np.ndarray:
        """Divide by the value that stands for 1, and clip what is off by rounding."""
        top = usual
        if self.max_value is not None and not is_calibrated(path):
            top = self.max_value
        if top is None:
            raise ValueError(
                f'contains {values.dtype} up to {values.max(initial=0)}: state with '
                '`max_value` which of them stands for probability 1'
            )

        _check_range(values, top)
        kind = np.float64 if values.dtype == np.float64 else np.float32
        scaled = np.require(values, kind, 'W')  # a volume is large: in place
        scaled /= kind(top)
        return scaled.clip(0, 1, out=scaled)


USUAL = MapReader()  # of maps that say by themselves how they are read


def read_array(path: Path, key: str | None = None, usual: str = '') -> np.ndarray:
    """Read the values of a NIfTI, .npy or .npz file, see :func:`load_array`."""
    if is_nifti(path):
        return read_nifti(path)
    return load_array(path, key, usual)[0]


def load_array(
    path: Path, key: str | None = None, usual: str = ''
) -> tuple[np.ndarray, str]:
    """Read a .npy file, or an array of a .npz file; also its name, '' of .npy.

    Of several arrays ``key`` names one, or else ``usual``.
    """
    check_file(path)

    try:
        with open(path, 'rb') as file:
            if file.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX:
                file.seek(0)
                values = np.load(file, allow_pickle=False)
                if file.read(1):
                    raise ValueError('it goes on behind its array: save one alone')
                return values, ''
        with np.load(path, allow_pickle=False) as stored:
            name = _chosen_key(stored.files, key, usual)
            member = stored.zip.getinfo(f'{name}.npy')
            check_unpacked(member.file_size, member.compress_size)
            return np.asarray(stored[name]), name  # a member may be text
    except Exception as error:  # numpy and zipfile raise a dozen types
        reason = getattr(error, 'strerror', None) or str(error)
        if 'pickle' in reason:  # numpy takes any other file for one
            reason = 'no array of numbers, but objects, or a failed download'
        raise ValueError(f'cannot be read ({reason}): write it again') from error


def _chosen_key(names: Sequence[str], key: str | None, usual: str) -> str:
    """Name of the array that is meant."""
    if not names:
        raise ValueError('it contains no array')
    if key is None:
        key = names[0] if len(names) == 1 else usual
    if key not in names:
        raise ValueError(
            f'it contains the arrays {", ".join(names)}: name that of maps with '
            '`key`, and save masks alone'
        )
    return key


def _read_image(path: Path) -> tuple[np.ndarray, float | None]:
    """Grey values, and the value that stands for 1."""
    image = open_image(path, frames=1)
    if image.mode != 'L' and not image.mode.startswith('I'):
        raise ValueError(
            f'an image of mode {image.mode!r} is not a probability map: save one grey '
            "channel of 8 or 16 bits (PIL modes 'L' and 'I;16')"
        )
    # Pillow before 10 reads 16-bit PNG as 'I', of 32 bits.
    is_wide = image.mode == 'I' and image.format != 'PNG'
    top = 255 if image.mode == 'L' else 65535
    return np.asarray(image), None if is_wide else top


def _checked_rank(values: np.ndarray) -> np.ndarray:
    """Take ``(H, W)`` or ``(D, H, W)``, an image if D is 1, and no softmax."""
    if values.ndim not in (2, 3):
        raise ValueError(
            f'a map has shape (H, W) or (D, H, W), not {values.shape}: drop axes of '
            'one; a softmax of nnU-Net is read without `logits=True`'
        )

    sums = [
        values.sum(axis, dtype=np.float64)
        for axis in (0, -1)
        if values.ndim == 3 and values.shape[axis] == 2
    ]
    if any(np.abs(total - 1).max() < SUM_TOLERANCE for total in sums):
        raise ValueError(
            f'its shape is {values.shape} and two planes of it add up to 1, as '
            'background and foreground do: save the foreground alone, as (H, W)'
        )
    return values[0] if values.ndim == 3 and len(values) == 1 else values


def _check_numbers(values: np.ndarray) -> None:
    """Refuse NaN, and an array of nothing."""
    if not values.size:
        raise ValueError(f'has no pixels, its shape is {values.shape}')
    if np.isnan(values).any():
        raise ValueError(
            f'has {np.count_nonzero(np.isnan(values))} NaN values: look for an '
            'overflow in the network'
        )


def _check_range(values: np.ndarray, top: float) -> None:
    """Refuse NaN and values beyond [0, top] by more than rounding."""
    _check_numbers(values)
    low = values.min()
    high = values.max()
    if low < -top * ROUNDING or high > top * (1 + ROUNDING):
        raise ValueError(
            f'values are in [{low:.6g}, {high:.6g}], not in [0, {top:g}]: give '
            '`logits=True` if they are logits (for eval-maps apply sigmoid first); if '
            'not, say with `max_value` which value stands for probability 1 (of per '
            'cent `max_value=100`)'
        )
