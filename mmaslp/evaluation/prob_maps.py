"""Probability maps on disk: 8-bit and 16-bit PNG, npy."""

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from ..core.calibration.inputs import ROUNDING
from ..utils.pictures import write_picture

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')
MAP_SUFFIXES = (*IMAGE_SUFFIXES, '.npy')

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
    if bits not in BITS:
        raise ValueError(f'bits must be 8 or 16, not {bits!r}')
    path = Path(path)
    if path.suffix.lower() != '.png':
        raise ValueError(f'{path}: probability maps are written as .png')
    prob = np.asarray(prob, dtype=np.float64)
    if prob.ndim != 2:
        raise ValueError(f'{path}: a map has shape (H, W), not {prob.shape}')
    prob = _in_range(prob, path)
    scaled = np.rint(prob * (2**bits - 1)).astype(BITS[bits])
    write_picture(path, scaled)


def read_prob_map(path: str | Path) -> np.ndarray:
    """Read a probability map.

    Args:
        path (str | Path): A grey 8-bit or 16-bit image (value / 255 or / 65535), or a
            .npy file of floating point values in [0, 1], ``(H, W)`` or ``(1, H, W)``.

    Returns:
        np.ndarray: ``(H, W)`` float32 or float64 in [0, 1].

    Raises:
        ValueError: It is not such a file; the message names it and what to do.
    """
    path = Path(path)
    if path.suffix.lower() not in MAP_SUFFIXES:
        raise ValueError(
            f'{path}: unknown kind of map {path.suffix!r}; use one of '
            f'{", ".join(MAP_SUFFIXES)}'
        )
    try:
        read = _read_npy if path.suffix.lower() == '.npy' else _read_image
        prob = read(path)
    except ValueError:
        raise
    except Exception as error:  # PIL and numpy raise a dozen types on broken files
        raise ValueError(
            f'{path}: cannot be read ({type(error).__name__}: {error}): write it again'
        ) from error
    if not prob.size:
        raise ValueError(f'{path}: the map is empty, shape {prob.shape}')
    return prob


def _read_image(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        if getattr(image, 'n_frames', 1) > 1:
            raise ValueError(f'{path}: has {image.n_frames} frames; a map has one')
        image.load()
        mode, values = image.mode, np.asarray(image)
    if mode == 'L':
        return values.astype(np.float32) / np.float32(255)
    # Pillow before 10 reads 16-bit PNG as 'I', of 32 bits.
    deep = mode == 'I' and values.min() >= 0 and values.max() <= 65535
    if mode.startswith('I;16') or deep:
        return values.astype(np.float32) / np.float32(65535)
    raise ValueError(
        f'{path}: an image of mode {mode!r} is no probability map: save one grey '
        "channel of 8 or 16 bits (PIL modes 'L' and 'I;16')"
    )


def _read_npy(path: Path) -> np.ndarray:
    try:
        prob = np.load(path, allow_pickle=False)
    except ValueError as error:
        raise ValueError(f'{path}: is no plain npy file ({error})') from error
    if not isinstance(prob, np.ndarray):
        raise ValueError(f'{path}: holds several arrays; save one (H, W) array')
    if prob.ndim == 3 and prob.shape[0] == 1:
        prob = prob[0]
    if prob.ndim != 2:
        raise ValueError(f'{path}: a map has shape (H, W), not {prob.shape}')
    if not np.issubdtype(prob.dtype, np.floating):
        raise ValueError(
            f'{path}: holds {prob.dtype}; npy maps are floating point in [0, 1] '
            '(divide 8-bit values by 255)'
        )
    prob = _in_range(prob, path)
    return prob if prob.dtype == np.float64 else prob.astype(np.float32)


def _in_range(prob: np.ndarray, path: Path) -> np.ndarray:
    """Refuse values that are not probabilities; clamp rounding."""
    if np.isnan(prob).any():
        raise ValueError(f'{path}: has {int(np.isnan(prob).sum())} NaN values')
    if not prob.size:
        return prob
    low, high = prob.min(), prob.max()
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise ValueError(
            f'{path}: values lie in [{low:.6g}, {high:.6g}], not in '
            '[0, 1]: apply sigmoid to logits before saving'
        )
    return prob.clip(0, 1) if low < 0 or high > 1 else prob
