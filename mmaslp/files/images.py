"""Images on disk: opening those of others, writing pictures that say they are ours."""

import io
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..core.outputs import MAP_MARK, write_output

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


def write_picture(path: str | Path, values: np.ndarray) -> None:
    """Write a PNG that says that it is ours; it replaces none of the user's."""
    info = PngInfo()
    info.add_text(*MAP_MARK)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, 'PNG', pnginfo=info)
    write_output(path, buffer.getvalue(), 'picture')
