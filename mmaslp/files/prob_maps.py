"""Probability maps on disk: grey images, npy, npz of nnU-Net; logits as npy and npz."""

from pathlib import Path

import numpy as np
from torch import Tensor

from ..core.argument_checks import check_choice, check_number, optional
from ..core.measure.inputs import ROUNDING
from .images import IMAGE_SUFFIXES, check_plain_file, open_image, write_picture
from .nnunet_maps import NNUNetDataset, find_dataset, foreground

MAP_SUFFIXES = (*IMAGE_SUFFIXES, '.npy', '.npz')
BITS = {8: np.uint8, 16: np.uint16}

# The largest value of a whole set that stands for probability 1 in another scale, by
# the kind of the maps: 0/1 masks, per cent, 8 bits in 16, and 10 to 15 bits.
_OTHER_TOPS = {
    '8-bit': (1, 100),
    '16-bit': (1, 100, 255, 1000, 1023, 4095, 10000, 16383, 32767),
}


def write_prob_map(path: str | Path, prob: Tensor | np.ndarray, bits: int = 16) -> None:
    """Write a probability map, ``(H, W)`` in [0, 1], as grey PNG of 8 or 16 bits.

    The value is rounded to the nearest of 2**bits values. So it is read back within 0.5
    / (2**bits - 1): 0.002 with 8 bits, 7.7e-6 with 16.

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
    scaled = np.rint(prob.clip(0, 1) * (2**bits - 1)).astype(BITS[bits])
    write_picture(path, scaled)


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
        self._zipped |= path.suffix.lower() == '.npz'
        try:
            return self._read(path)
        except ValueError as error:
            raise ValueError(f'{path}: {error}') from error

    def _read(self, path: Path) -> np.ndarray:
        suffix = path.suffix.lower()
        if suffix in IMAGE_SUFFIXES and not self.logits:
            return self._scaled(path, *_read_image(path))
        if suffix not in ('.npy', '.npz'):
            known = ', '.join(('.npy', '.npz') if self.logits else MAP_SUFFIXES)
            what = 'logits' if self.logits else 'maps'
            raise ValueError(f'{what} are read from files that end with {known}')
        values = load_array(path, self.key)
        if values.dtype.kind not in 'iuf':
            raise ValueError(
                f'holds {values.dtype}; maps are floating point in [0, 1], or integers '
                'whose scale you state with --max-value'
            )
        if self.logits:
            return _checked_logits(values)
        if suffix == '.npz':
            _check_range(values, 1.0)
            return foreground(values, self.channel, self.dataset_of(path))
        if values.ndim == 3 and values.shape[0] == 1:
            values = values[0]
        top = 1.0 if values.dtype.kind == 'f' else None
        return self._scaled(path, values, str(values.dtype), top)

    def _scaled(
        self, path: Path, values: np.ndarray, kind: str, usual: float | None
    ) -> np.ndarray:
        """Divide by the value that stands for 1."""
        _check_shape(values)
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
        if values.dtype != np.float64:
            values = values.astype(np.float32)
        return (values / values.dtype.type(top)).clip(0, 1)

    def dataset_of(self, path: str | Path) -> NNUNetDataset | None:
        """What nnU-Net's ``dataset.json`` says of a .npz map; None without one."""
        if Path(path).suffix.lower() != '.npz':
            return None
        folder = Path(path).parent
        if folder not in self._datasets:
            self._datasets[folder] = find_dataset(folder)
        return self._datasets[folder]

    def merge(self, other: 'MapReader') -> None:
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


def load_array(path: Path, key: str | None = None) -> np.ndarray:
    """Load the array of a .npy file, or one of a .npz file."""
    try:
        found = np.load(path, allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            names = found.files
            if key is None and 'probabilities' in names:
                key = 'probabilities'
            elif key is None and len(names) == 1:
                key = names[0]
            if key not in names:
                raise ValueError(f'it holds {", ".join(names)}: name one with --key')
            return np.asarray(found[key])  # a member may be text
    except Exception as error:  # numpy and zipfile raise a dozen types on broken files
        reason = getattr(error, 'strerror', None) or error
        raise ValueError(f'cannot be read ({reason})') from error


def _read_image(path: Path) -> tuple[np.ndarray, str, float | None]:
    """Grey values, their kind, and the value that stands for 1."""
    with open_image(path) as image:
        if getattr(image, 'n_frames', 1) > 1:
            raise ValueError(f'has {image.n_frames} frames; a map has one')
        mode, kind, values = image.mode, image.format, np.asarray(image)
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
    low, high = values.min(), values.max()
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
