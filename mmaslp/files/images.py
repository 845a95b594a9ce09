"""Images and binary masks on disk."""

import io
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from scipy.ndimage import maximum_filter, minimum_filter

from ..common.inputs import (
    Stamp,
    check_file,
    naming,
    read_file,
    sha256_of,
    stamp_of,
)
from ..common.outputs import write_output
from .names import some
from .volumes import comments_of, is_nifti

# What is opened, whatever the name says: of other formats Pillow runs programs, such as
# Ghostscript.
_FORMATS = ('PNG', 'JPEG', 'TIFF', 'BMP', 'GIF', 'WEBP')
# The tag of EXIF data that says how an image is turned when it is shown.
_ORIENTATION = 0x0112
# The tag of a TIFF that says what 0 is; Pillow inverts greys of 8 bits only.
_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0
IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff')


def open_image(file: str | Path | IO[bytes], frames: int | None = None) -> Image.Image:
    """Decode an image completely, so that a cut file fails here.

    ``frames`` is the number that it must have, None any: a phone adds previews to its
    photographs, of which MMSegmentation reads the first frame.
    """
    if isinstance(file, (str, Path)):
        check_file(file)
    try:
        image = Image.open(file, formats=_FORMATS)
        turned = image.format == 'TIFF' and _is_turned(image)  # Pillow turns it back
        image.load()
        turned = turned or _is_turned(image)
        pages = getattr(image, 'n_frames', 1)  # looks for the next page of a TIFF
    except Exception as error:  # PIL raises a dozen types on broken files
        reason = getattr(error, 'strerror', None) or error
        if isinstance(error, UnidentifiedImageError):  # which names the stream
            reason = 'it is empty, or of a kind that Pillow cannot read'
        raise ValueError(
            f'cannot be read as an image ({reason}): write or fetch it again'
        ) from error

    if frames is not None and pages != frames:
        raise ValueError(f'has {pages} frames, and one is read: save each as a file')
    if frames is not None and turned:
        raise ValueError('its EXIF data turns it when it is shown: save it as it lies')
    if frames is not None and image.format == 'TIFF' and image.mode not in ('1', 'L'):
        photometric = image.tag_v2.get(_PHOTOMETRIC)  # type: ignore[attr-defined]
        if photometric == _WHITE_IS_ZERO:
            raise ValueError(
                'its greys are stored from white to black (MinIsWhite): save it with '
                'black as 0'
            )
    return image


def _is_turned(image: Image.Image) -> bool:
    """Whether EXIF data say that an image is turned when it is shown."""
    return image.getexif().get(_ORIENTATION, 1) != 1


# What a calibrated PNG or NIfTI file says, and the file that says so of arrays.
CALIBRATED = 'mmaslp calibrated'
MARK = '.mmaslp_calibrated'
# Of maps and masks: up to six times as fast as the usual 6, for a tenth more bytes.
PNG_LEVEL = 1


def write_picture(
    path: str | Path, values: np.ndarray, overwrite: bool = False, software: str = ''
) -> None:
    """Write a PNG, which keeps the name of the software."""
    write_output(path, png_of(values, software), overwrite)


def png_of(values: np.ndarray, software: str = '') -> bytes:
    """Encode a PNG, see :func:`write_picture`."""
    info = PngInfo()
    if software:
        info.add_text('Software', software)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, 'PNG', pnginfo=info, compress_level=PNG_LEVEL)
    return buffer.getvalue()


def is_calibrated(path: Path) -> bool:
    """Whether a map says that a calibrator made it, of `apply` or of a test."""
    if path.suffix.lower() == '.png':
        with Image.open(path) as image:
            return image.info.get('Software') == CALIBRATED
    if is_nifti(path) and CALIBRATED.encode() in comments_of(path):
        return True
    marked = marked_arrays(path.parent)
    return bool(marked) and sha256_of(path) in marked


def marked_arrays(folder: Path) -> set[str]:
    """SHA-256 of the arrays of a folder that `apply` made, by its mark."""
    mark = folder / MARK
    stamp = stamp_of(mark)
    return set() if stamp is None else set(_read_mark(mark, stamp))


@lru_cache(8)
def _read_mark(mark: Path, stamp: Stamp) -> frozenset[str]:
    """Read a mark, again only if it has changed."""
    return frozenset(mark.read_text(errors='replace').split())


def check_uncalibrated(path: Path) -> None:
    """Refuse a map that a calibrator made."""
    if is_calibrated(path):
        raise ValueError(
            'it is calibrated already, as its header or the file '
            f'{MARK} beside it says: give the map of the network (`mmaslp test '
            '--raw` writes it)'
        )


# Largest ratio of two aspects that rounding explains.
SAME_ASPECT = 1.03


def upright(photo: Path, shape: tuple[int, ...]) -> tuple[Image.Image, bool]:
    """Read a photograph as its map ``(H, W)`` lies; also whether the map fits it.

    A camera notes how it was held. If the map has the aspect of the pixels as they are
    stored, and not that of the photograph, the network did not see that note. A map
    that fits neither is one of a network that stretches its images.
    """
    with naming(f'its photograph {photo}'):
        stored = open_image(photo)
    turned = ImageOps.exif_transpose(stored)
    for image in (turned, stored):
        ratio = image.width * shape[0] / (image.height * shape[1])
        if max(ratio, 1 / ratio) <= SAME_ASPECT:
            return _in_colour(image), True
    return _in_colour(turned), False


# Percentiles of a scan or of a photograph of more than 8 bits: black and white.
GREYS = (1, 99)


def _in_colour(photo: Image.Image) -> Image.Image:
    if photo.mode[0] not in 'IF':  # whose greys Pillow would cut at 255
        return photo.convert('RGB')
    values = np.nan_to_num(np.asarray(photo, np.float64))
    return grey_picture(values, *np.percentile(values, GREYS))


def grey_picture(values: np.ndarray, low: float, high: float) -> Image.Image:
    """Show values from black at ``low`` to white at ``high``."""
    grey = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255
    # Outside of a scan may lie NaN.
    return Image.fromarray(np.rint(np.nan_to_num(grey)).astype(np.uint8)).convert('RGB')


# The greys of a mask lie at the two ends; those between belong to edges.
LOW_END = 31
HIGH_END = 224
# Largest share of the pixels that the edges of a mask may cover.
MAX_EDGE_SHARE = 0.25
# An edge is at most so many pixels wide on either side, also of a mask that was
# enlarged fourfold. A map of probabilities has greys elsewhere too.
EDGE_WIDTH = 4
# Largest share of the pixels that may be grey further from an edge: thin objects that
# a reduced mask has lost.
MAX_STRAY_SHARE = 0.01
# Share of the pixels that flat areas of one grey must cover to be more than an edge.
MIN_AREA_SHARE = 0.001
# After JPEG the channels of a grey image differ by at most a few greys.
MAX_CHANNEL_SPREAD = 16
# Images with so few greys have no smooth edge, and with more than so many they are
# noisy.
FEW_GREYS = 3
MANY_GREYS = 32

_REWRITE = 'Rewrite it as an 8-bit image of 0 (background) and 255 (foreground)'


def read_binary_mask(path: str | Path, *, graded: bool = False) -> np.ndarray:
    """Read a mask file as background 0 and foreground 1.

    Accepted are masks of 0 and 1 or of 0 and 255, also with grey (anti-aliased or JPEG)
    edges, in 1, 8 or 16 bits, as grey, opaque colour or palette images. A palette of
    greys is read by them, any other by its indices. Edges are cut at half: a grey above
    127 of 255 is foreground. Anything else would be a guess and is refused: label maps,
    masks with ignored pixels, transparent ones, photographs.

    Args:
        path (str | Path): A local image file.
        graded (bool): Accept masks of votes in any grey, and cut them at half. Defaults
            to False.

    Returns:
        np.ndarray: ``(H, W)`` uint8 of {0, 1}.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read as a binary mask; the message names it.
    """
    data = read_file(path)
    with naming(path):
        if not data:
            raise ValueError('the mask file is empty: write or fetch it again')
        image = open_image(io.BytesIO(data), frames=1)
        values = _values(image)
        if image.format != 'JPEG' and 0 <= values.min() <= values.max() <= 1:
            return values.astype(np.uint8)

        grey = _grey(values)
        if not graded:
            _check_depth(values)
            _check_grey(grey, image.format == 'JPEG')
    return (grey > 127).astype(np.uint8)


def _values(image: Image.Image) -> np.ndarray:
    """Reduce an image of any mode to one channel, ``(H, W)`` of integers."""
    if image.mode in ('1', 'L') or image.mode.startswith('I'):
        return np.asarray(image, np.uint8 if image.mode == '1' else None)
    if image.mode not in ('LA', 'P', 'PA', 'RGB', 'RGBA'):
        raise ValueError(f'its mode {image.mode} is not that of a mask. {_REWRITE}')
    if np.asarray(image.convert('RGBA'))[..., 3].min() < 255:
        raise ValueError(f'a mask must not be transparent. {_REWRITE}')

    if image.mode == 'P' and _is_of_indices(image):
        return np.asarray(image)
    colours = np.asarray(image.convert('RGB'))
    if (colours.max(-1) - colours.min(-1)).max() <= MAX_CHANNEL_SPREAD:
        return colours[..., 1]
    raise ValueError(
        f'the mask has colours; which of them is foreground is not known. {_REWRITE}'
    )


def _is_of_indices(image: Image.Image) -> bool:
    """Whether a palette image is a mask by its indices 0 and 1, not by its greys.

    So it is where the two colours are no greys, or are equally dark or light.
    """
    if np.asarray(image).max() > 1:
        return False
    palette = np.array(image.getpalette('RGB') or [])[:6].reshape(-1, 3)
    is_light = palette[:, 1] > 127
    spread = np.ptp(palette, axis=1).max()
    return bool(spread > MAX_CHANNEL_SPREAD or is_light.all() or not is_light.any())


def _grey(values: np.ndarray) -> np.ndarray:
    """Scale 16-bit values to 8 bits; files that use only 8 bits stay unchanged."""
    low, high = values.min(), values.max()
    if low < 0 or high > 65535:
        raise ValueError(f'values {low} to {high} do not fit into 16 bits. {_REWRITE}')
    if high > 255:
        values = (values.astype(np.int32) + 128) // 257
    return values.astype(np.uint8)


def _check_depth(values: np.ndarray) -> None:
    """Refuse 16 bits that 8 bits cannot hold: they are probabilities, not edges."""
    if values.max() <= 255:
        return
    count = len(np.unique(values))
    if count > 256:
        raise ValueError(
            f'not a binary mask of 0 and 65535: it has {count} greys, as a map of '
            f'probabilities has. {_REWRITE}; if it is a map, the folders are in the '
            'wrong order'
        )


def _check_grey(grey: np.ndarray, lossy: bool) -> None:
    """Refuse greys other than 0 and 255 that are more than the edge between them."""
    if ((grey == 0) | (grey == 255)).all():
        return
    counts = np.bincount(grey.ravel(), minlength=256)
    levels = np.flatnonzero(counts)
    flat = maximum_filter(grey, 3) == minimum_filter(grey, 3)
    areas = np.bincount(grey[flat], minlength=256) > MIN_AREA_SHARE * grey.size
    if not lossy and len(levels) <= MANY_GREYS:
        strange = levels if len(levels) <= FEW_GREYS else np.flatnonzero(areas)
        strange = np.setdiff1d(strange, (0, 255))
    else:
        strange = np.flatnonzero(areas[LOW_END + 1 : HIGH_END]) + LOW_END + 1

    edges = counts[LOW_END + 1 : HIGH_END].sum() / grey.size
    has_ends = levels[-1] >= HIGH_END and not LOW_END < levels[0] < HIGH_END
    is_mask = has_ends and not len(strange) and edges <= MAX_EDGE_SHARE
    if is_mask and _stray_share(grey) <= MAX_STRAY_SHARE:
        return
    odd = strange if len(strange) else np.setdiff1d(levels, (0, 255))
    raise ValueError(
        f'not a binary mask of 0 and 255: it contains {some([*map(str, odd)])}. '
        f'{_REWRITE}; if it is a map, the folders are in the wrong order; votes '
        '(PASCAL-S) are read with graded=True, by `mmaslp prepare --layout PASCAL-S`'
    )


def _stray_share(grey: np.ndarray) -> float:
    """Share of the pixels that are grey, and further from an edge than edges are."""
    mask = grey > 127
    size = 2 * EDGE_WIDTH + 1
    near_edge = maximum_filter(mask, size) != minimum_filter(mask, size)
    is_grey = (grey > LOW_END) & (grey < HIGH_END)
    return (is_grey & ~near_edge).mean()
