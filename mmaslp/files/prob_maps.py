"""Probability maps on disk: 8-bit and 16-bit PNG, npy; logits as npy and npz."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from ..core.argument_checks import check_choice, check_number, optional
from ..core.measure.inputs import ROUNDING
from .pictures import write_picture
from .plain_file import check_plain_file, too_large

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')
MAP_SUFFIXES = (*IMAGE_SUFFIXES, '.npy', '.npz')

BITS = {8: np.uint8, 16: np.uint16}


def write_prob_map(path: str | Path, prob: Tensor | np.ndarray, bits: int = 16) -> None:
    """Write a probability map as grey PNG.

    The value is rounded to the nearest of 2**bits values. So it is read back within 0.5
    / (2**bits - 1): 0.002 with 8 bits, 7.7e-6 with 16.

    Args:
        path (str | Path): Where to; ends with .png. Its folder is made if needed. A
            file that is there must be a map or picture of mmaslp.
        prob (Tensor | np.ndarray): ``(H, W)`` in [0, 1].
        bits (int): 8 or 16. Defaults to 16.

    Raises:
        ValueError: ``bits`` is neither 8 nor 16, ``path`` does not end with .png,
            ``prob`` is not ``(H, W)`` or has NaN or values further than 1e-6 outside
            [0, 1]; or the file that is there is another image.
        OSError: It cannot be written; names the file.
    """
    check_choice('bits', bits, BITS)
    path = Path(path)
    if path.suffix.lower() != '.png':
        raise ValueError(f'{path}: probability maps are written as .png')
    prob = np.asarray(prob, dtype=np.float64)
    if prob.ndim != 2:
        raise ValueError(f'{path}: a map has shape (H, W), not {prob.shape}')
    _check_range(path, prob, 1.0)
    scaled = np.rint(prob.clip(0, 1) * (2**bits - 1)).astype(BITS[bits])
    write_picture(path, scaled)


@dataclass(frozen=True)
class StoredMap:
    """What a file of a probability map holds."""

    values: np.ndarray
    kind: str
    top: float

    @property
    def probability(self) -> np.ndarray:
        """``(H, W)`` float32 or float64 in [0, 1]."""
        if self.values.dtype == np.float64:
            prob = self.values / self.top
        else:
            prob = self.values.astype(np.float32) / np.float32(self.top)
        beyond = prob.size and (prob.min() < 0 or prob.max() > 1)
        return prob.clip(0, 1) if beyond else prob  # of rounding


def read_prob_map(path: str | Path, max_value: float | None = None) -> np.ndarray:
    """Read a probability map.

    Args:
        path (str | Path): A grey 8-bit or 16-bit image (value / 255 or / 65535), or a
            .npy file of floating point values in [0, 1], ``(H, W)`` or ``(1, H, W)``.
        max_value (float, optional): The value that stands for probability 1, > 0; with
            it, 32-bit images and .npy files of integers or of another range are read
            too. Defaults to None: as above.

    Returns:
        np.ndarray: ``(H, W)`` float32 or float64 in [0, 1].

    Raises:
        ValueError: It is not such a file; the message names it and what to do.
    """
    return read_stored_map(path, max_value).probability


def read_stored_map(path: str | Path, max_value: float | None = None) -> StoredMap:
    """Read a probability map as it is stored, with its scale."""
    optional(check_number, 'max_value', max_value, above=0)
    path = Path(path)
    if path.suffix.lower() not in MAP_SUFFIXES:
        raise ValueError(
            f'{path}: unknown kind of map {path.suffix!r}; use one of '
            f'{", ".join(MAP_SUFFIXES)}'
        )
    check_plain_file(path)
    try:
        read = _read_npy if path.suffix.lower() == '.npy' else _read_image
        stored = read(path, max_value)
    except ValueError:
        raise
    except Image.DecompressionBombError as error:
        raise too_large(path) from error
    except Exception as error:  # PIL and numpy raise a dozen types on broken files
        raise ValueError(
            f'{path}: cannot be read ({type(error).__name__}: {error}): write it again'
        ) from error
    if not stored.values.size:
        raise ValueError(f'{path}: the map is empty, shape {stored.values.shape}')
    return stored


def read_logit_map(path: str | Path, key: str | None = None) -> np.ndarray:
    """Read a map of logits."""
    path = Path(path)
    if path.suffix.lower() not in ('.npy', '.npz'):
        raise ValueError(f'{path}: logits are read from .npy and .npz files')
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            if key is None and len(found.files) != 1:
                raise ValueError(
                    f'it holds {", ".join(found.files)}: name one by --key'
                )
            found = found[key or found.files[0]]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ValueError(f'{path}: cannot be read ({error})') from error
    found = found[0] if found.ndim > 2 and len(found) == 1 else found
    if found.ndim not in (2, 3) or not np.issubdtype(found.dtype, np.floating):
        raise ValueError(
            f'{path}: a map of logits is floating point, (H, W) or (D, H, W), not '
            f'{found.dtype} of {found.shape}'
        )
    if np.isnan(found).any():
        raise ValueError(f'{path}: has {int(np.isnan(found).sum())} NaN values')
    return found


def _read_image(path: Path, max_value: float | None) -> StoredMap:
    with Image.open(path) as image:
        if getattr(image, 'n_frames', 1) > 1:
            raise ValueError(f'{path}: has {image.n_frames} frames; a map has one')
        image.load()
        mode, kind, values = image.mode, image.format, np.asarray(image)
    if mode == 'L':
        return _scaled(path, values, '8-bit', max_value or 255)
    # Pillow before 10 reads 16-bit PNG as 'I', of 32 bits.
    if mode.startswith('I;16') or (mode == 'I' and kind == 'PNG'):
        return _scaled(path, values, '16-bit', max_value or 65535)
    if mode == 'I':
        return _scaled(path, values, '32-bit', max_value)
    raise ValueError(
        f'{path}: an image of mode {mode!r} is not a probability map: save one grey '
        "channel of 8 or 16 bits (PIL modes 'L' and 'I;16')"
    )


def _read_npy(path: Path, max_value: float | None) -> StoredMap:
    try:
        values = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f'{path}: is not a plain npy file ({error})') from error
    if not isinstance(values, np.ndarray):
        raise ValueError(f'{path}: holds several arrays; save one (H, W) array')
    if values.ndim == 3 and values.shape[0] == 1:
        values = values[0]
    if values.ndim != 2:
        raise ValueError(f'{path}: a map has shape (H, W), not {values.shape}')
    kind = str(values.dtype)
    if np.issubdtype(values.dtype, np.floating):
        max_value = max_value or 1.0
    elif not np.issubdtype(values.dtype, np.integer):
        raise ValueError(
            f'{path}: holds {kind}; npy maps are floating point in [0, 1], or integers '
            'whose scale you state with --max-value'
        )
    return _scaled(path, values, kind, max_value)


def _scaled(path: Path, values: np.ndarray, kind: str, top: float | None) -> StoredMap:
    """Refuse values without a scale or beyond it."""
    if top is None:
        raise ValueError(
            f'{path}: holds {kind} integers up to {values.max(initial=0)}: state with '
            '--max-value which of them stands for probability 1'
        )
    _check_range(path, values, top)
    return StoredMap(values, kind, float(top))


def _check_range(path: Path, values: np.ndarray, top: float) -> None:
    """Refuse NaN and values beyond [0, top] by more than rounding."""
    if not values.size:
        return
    low, high = values.min(), values.max()
    if np.isnan(low):
        raise ValueError(f'{path}: has {int(np.isnan(values).sum())} NaN values')
    rounding = top * ROUNDING
    if low < -rounding:
        advice = 'apply sigmoid to logits before saving'
    elif high > top + rounding:
        advice = (
            'apply sigmoid if they are logits; if they are per cent, say --max-value '
            '100, else which value stands for probability 1'
        )
    else:
        return
    raise ValueError(
        f'{path}: values lie in [{low:.6g}, {high:.6g}], not in [0, {top:g}]: {advice}'
    )
