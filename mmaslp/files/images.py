"""Images and binary masks on disk."""

import io
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from ..common.outputs import write_output

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff')


def check_plain_file(path: Path) -> None:
    """Refuse a pipe or a device: reading one may never end."""
    if path.exists() and not path.is_file():
        raise ValueError(f'{path}: not a file (a folder, a pipe or a device)')


def open_image(file: str | Path | IO[bytes], frames: int | None = None) -> Image.Image:
    """Decode an image completely, so that a cut file fails here.

    ``frames`` is the number that it must have, None any: a phone adds previews to its
    photographs, of which MMSegmentation reads the first frame.
    """
    if isinstance(file, (str, Path)):
        check_plain_file(Path(file))
    try:
        image = Image.open(file)
        image.load()
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise ValueError(
            f'has more than {most:,} pixels, the most that Pillow reads: cut '
            'or resize it (a map may be a .npy file of any size)'
        ) from error
    except Exception as error:  # PIL raises a dozen types on broken files
        reason = getattr(error, 'strerror', None) or error
        raise ValueError(
            f'cannot be read as an image ({reason}): write or fetch it again'
        ) from error

    found = getattr(image, 'n_frames', 1)
    if frames is not None and found != frames:
        raise ValueError(f'has {found} frames, and one is read: save each as a file')
    return image


def write_picture(
    path: str | Path, values: np.ndarray, overwrite: bool = False
) -> None:
    """Write a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, 'PNG')
    write_output(path, buffer.getvalue(), overwrite)


# The greys of a mask lie at the two ends; those between belong to edges.
LOW_END = 31
HIGH_END = 224
# Largest share of the pixels that the edges of a mask may cover.
MAX_EDGE_SHARE = 0.25
# Share of the pixels that flat areas of one grey must cover to be a clear grey.
MIN_LEVEL_SHARE = 0.001
# After JPEG the channels of a grey image differ by at most a few greys.
MAX_CHANNEL_SPREAD = 16
# Images with more greys than this are noisy (JPEG), not label maps.
MAX_LABELS = 32
# Clear greys that lie this close together are one grey with noise.
NOISE_GAP = 8

_REWRITE = 'Rewrite it as an 8-bit image of 0 (background) and 255 (foreground)'


def read_binary_mask(path: str | Path, *, graded: bool = False) -> np.ndarray:
    """Read a mask file as background 0 and foreground 1.

    Accepted are 1-bit masks, 0/1 and 0/255, with or without grey (anti-aliased or
    JPEG) edges, in 8 or 16 bits, as grey, RGB, RGBA or palette images:

    - a palette of grey colours is read by its colours, any other by its indices,
      which must be 0 and 1;
    - 0/1 wins over 0/255 if both fit, so an all-1 mask is all foreground;
    - edges are cut at half: a grey above 127 of 255 is foreground;
    - transparency is accepted if it does not change the mask.

    Anything else would be a guess and is refused: greys such as 0/128, 0/38 or
    0/1/255 (label maps, trimaps, masks with ignored pixels), colours, photographs.

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
    path = Path(path)
    check_plain_file(path)
    return decode_binary_mask(path.read_bytes(), path, graded=graded)


def decode_binary_mask(
    data: bytes, name: str | Path, *, graded: bool = False
) -> np.ndarray:
    """Decode the bytes of a mask file, see :func:`read_binary_mask`."""
    try:
        if not data:
            raise ValueError('the mask file is empty')
        image = open_image(io.BytesIO(data), frames=1)
        grey = _grey(image)
        lossy = image.format == 'JPEG'
        if not lossy and grey.max() <= 1:
            return grey.copy()  # the array of PIL is read-only
        if not graded:
            _check_grey(grey, lossy)
    except ValueError as error:
        raise ValueError(f'{name}: {error}') from error
    return (grey > 127).astype(np.uint8)


def _grey(image: Image.Image) -> np.ndarray:
    """Reduce an image of any mode to greys, ``(H, W)`` uint8."""
    if image.mode == '1':
        return np.asarray(image, dtype=np.uint8)
    if image.mode == 'P' and not _has_clear_grey(image):
        return _palette_grey(image)
    if image.mode == 'L':
        return np.asarray(image)

    if image.mode.startswith('I'):
        return _deep_grey(np.asarray(image).astype(np.int64))
    if image.mode in ('LA', 'P', 'PA', 'RGBA'):
        return _opaque_grey(np.asarray(image.convert('RGBA')))
    if image.mode == 'RGB':
        return _channel_grey(np.asarray(image))
    raise ValueError(
        f'masks of image mode {image.mode!r} are not supported. {_REWRITE}'
    )


def _palette_grey(image: Image.Image) -> np.ndarray:
    """Read a palette image by its colours if they are grey, else by its indices."""
    indices = np.asarray(image)
    colours = np.asarray(image.convert('RGB'))
    if _spread(colours) <= MAX_CHANNEL_SPREAD:
        return colours[..., 0]
    if indices.max() <= 1:
        return indices
    raise ValueError(
        'a palette mask with colours and the indices '
        f'{_some(np.unique(indices))}; only 0 and 1 can be read. {_REWRITE}'
    )


def _deep_grey(values: np.ndarray) -> np.ndarray:
    """Scale 16-bit values to 8 bits; files that use only 8 bits stay unchanged."""
    if values.min() < 0 or values.max() > 65535:
        raise ValueError(
            f'values {values.min()} to {values.max()} do not fit into 16 bits. '
            f'{_REWRITE}'
        )
    if values.max() > 255:
        values = (values + 128) // 257
        if values.max() <= 1:
            raise ValueError(
                '16-bit values that stay below 1 % of the range look like labels, '
                f'not like a mask. {_REWRITE}'
            )
    return values.astype(np.uint8)


def _channel_grey(colours: np.ndarray) -> np.ndarray:
    """Take the common value of the channels of a ``(H, W, 3)`` image."""
    spread = _spread(colours)
    if spread > MAX_CHANNEL_SPREAD:
        raise ValueError(
            f'the mask has colours (channels differ by up to {spread} levels); which '
            f'of them is foreground is not known. {_REWRITE}'
        )
    return colours[..., 1]


def _opaque_grey(pixels: np.ndarray) -> np.ndarray:
    """Drop the alpha channel of ``(H, W, 4)`` if it does not change the mask."""
    grey = _channel_grey(pixels[..., :3])
    opaque = pixels[..., 3] > 127
    seen = grey.astype(np.uint16) * pixels[..., 3] // 255
    only_opacity = grey.max() == grey.min() and opaque.any() and not opaque.all()
    if only_opacity or not np.array_equal(grey > 127, seen > 127):
        raise ValueError(
            f'its transparency and its colours show different masks. {_REWRITE}'
        )
    return grey


def _has_clear_grey(image: Image.Image) -> bool:
    """Whether a palette of greys has a transparent one."""
    colours = np.asarray(image.convert('RGB'))
    clear = image.info.get('transparency') is not None
    return clear and _spread(colours) <= MAX_CHANNEL_SPREAD


def _spread(colours: np.ndarray) -> int:
    """Largest difference between the channels of any pixel of ``(H, W, 3)`` uint8."""
    return int((colours.max(-1) - colours.min(-1)).max())


def _check_grey(grey: np.ndarray, lossy: bool) -> None:
    """Refuse greys that do not lie at the two ends of the range."""
    counts = np.bincount(grey.ravel(), minlength=256)
    levels = np.flatnonzero(counts)
    low = int(levels[0])
    high = int(levels[-1])
    if len(levels) <= 2 and {low, high} <= {0, 255}:
        return
    clear = _clear_greys(grey, noisy=lossy or len(levels) > MAX_LABELS)
    edges = counts[LOW_END + 1 : HIGH_END].sum() / grey.size
    between = any(LOW_END < level < HIGH_END for level in clear)
    if levels.tolist() == [0, 1, 255]:
        found = 'the levels 0, 1 and 255 are those of a label map with ignored pixels'
    elif lossy and high <= LOW_END and _clear_greys(grey, noisy=False).any():
        found = (
            f'its levels lie between {low} and {high}: a mask of 0 and 1 loses its '
            'edges as JPEG'
        )
    elif between or np.count_nonzero(clear <= LOW_END) > 1:
        found = f'the grey levels {_some(clear)} cover clear areas'
    elif high < HIGH_END and not (lossy and high <= LOW_END):
        found = f'its brightest level is {high}, which is neither 1 nor 255'
    elif low > LOW_END and low < HIGH_END:
        found = f'its darkest level is {low}, not 0'
    elif edges > MAX_EDGE_SHARE:
        found = f'{edges:.0%} of its pixels are neither dark nor bright'
    else:
        return

    raise ValueError(
        f'not a binary mask: {found}. {_REWRITE}; if its levels are votes (PASCAL-S), '
        'read it with graded=True'
    )


def _clear_greys(grey: np.ndarray, noisy: bool) -> np.ndarray:
    """Greys that cover flat areas (3x3 equal pixels), without noise."""
    flat = np.ones(tuple(max(n - 2, 0) for n in grey.shape), dtype=bool)
    centre = grey[1:-1, 1:-1]
    for dy in range(3):
        for dx in range(3):
            flat &= grey[dy : dy + centre.shape[0], dx : dx + centre.shape[1]] == centre
    counts = np.bincount(centre[flat], minlength=256)
    levels = np.flatnonzero(counts > MIN_LEVEL_SHARE * grey.size)
    if noisy and len(levels):
        levels = levels[np.diff(levels, prepend=-256) > NOISE_GAP]
    return levels


def _some(numbers: np.ndarray, limit: int = 8) -> str:
    text = ', '.join(str(int(number)) for number in numbers[:limit])
    return text + (', ...' if len(numbers) > limit else '')
