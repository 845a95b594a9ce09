"""Pictures that are written in one piece and replace none of the user's."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .atomic_write import atomic_write
from .outputs import MAP_MARK, check_kind

__all__ = ['write_picture']


def write_picture(path: str | Path, values: np.ndarray) -> None:
    """Write a PNG that says that it is ours.

    A link is replaced, not what it points to: it may be an image of the data set.
    """
    check_kind(path, 'picture')
    info = PngInfo()
    info.add_text(*MAP_MARK)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, 'PNG', pnginfo=info)
    atomic_write(path, buffer.getvalue(), follow_links=False)
