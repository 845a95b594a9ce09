"""Refusing what is not a plain file, before it is read."""

from pathlib import Path

from PIL import Image

__all__ = ['check_plain_file', 'too_large']


def check_plain_file(path: str | Path) -> None:
    """Refuse a pipe or a device: reading one may never end."""
    if Path(path).exists() and not Path(path).is_file():
        raise ValueError(f'{path}: not a file (a folder, a pipe or a device)')


def too_large(path: str | Path) -> ValueError:
    """The error for an image that Pillow refuses because of its size."""
    most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    return ValueError(
        f'{path}: has more than {most:,} pixels, the most that Pillow reads: cut or '
        'resize it (a map may be a .npy file of any size)'
    )
