"""Photographs and scans that belong to maps."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageOps

from .images import IMAGE_SUFFIXES, open_image
from .map_pairs import list_files
from .volumes import NIFTI_SUFFIXES

# nnU-Net numbers the channels of a scan; the first one is shown.
FIRST_CHANNEL = '_0000'
# Largest ratio of two aspects that rounding explains.
SAME_ASPECT = 1.03


def find_photos(folder: str | Path, names: Iterable[str]) -> dict[str, Path]:
    """Find the photograph or the scan of each map, by its name.

    Raises:
        ValueError: There is none of any map.
    """
    suffixes = (*IMAGE_SUFFIXES, *NIFTI_SUFFIXES)
    there = list_files(Path(folder), suffixes, 'photograph', [])
    photos = {
        name: there[stem]
        for name in names
        for stem in (name + FIRST_CHANNEL, name)
        if stem in there
    }
    if not photos:
        raise ValueError(f'--images {folder}: there is none of {next(iter(names))}')
    return photos


def upright(photo: Path, shape: tuple[int, ...]) -> tuple[Image.Image, bool]:
    """Read a photograph as its map ``(H, W)`` lies; also whether the map fits it.

    A camera notes how it was held. If the map has the aspect of the pixels as they are
    stored, and not that of the photograph, the network did not see that note. A map
    that fits neither is one of a network that stretches its images.
    """
    stored = open_image(photo)
    turned = ImageOps.exif_transpose(stored)
    for image in (turned, stored):
        ratio = image.width * shape[0] / (image.height * shape[1])
        if max(ratio, 1 / ratio) <= SAME_ASPECT:
            return image.convert('RGB'), True
    return turned.convert('RGB'), False
