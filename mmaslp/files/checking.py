"""Checks of files on disk before they are used."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from .masks import read_binary_mask

__all__ = ['check_pair', 'check_pairs', 'image_size']

TRANSPOSED = (5, 6, 7, 8)  # values of the EXIF orientation
ORIENTATION = 274


def image_size(path: str) -> tuple[int, int]:
    """Decode an image and return its size as MMSegmentation's loader sees it.

    Args:
        path (str): An image file.

    Returns:
        tuple[int, int]: Width and height in pixels, turned by the EXIF orientation.

    Raises:
        ValueError: It cannot be read; the message names the file.
    """
    try:
        with Image.open(path) as image:
            image.load()
            width, height = image.size
            turned = image.getexif().get(ORIENTATION) in TRANSPOSED
    except Exception as error:  # PIL raises a dozen types on broken files
        raise ValueError(f'{path}: not a readable image ({error})') from error
    return (height, width) if turned else (width, height)


def check_pair(image: str, mask: str, graded: bool = False) -> str | None:
    """Check that an image and its mask can be read and fit together.

    Args:
        image (str): An image file.
        mask (str): A mask file.
        graded (bool): Whether the mask may have any grey. Defaults to False.

    Returns:
        str | None: What is wrong, with the name of the file; None if nothing is.
    """
    try:
        width, height = image_size(image)
        found = read_binary_mask(mask, graded=graded).shape
    except (OSError, ValueError) as error:
        return str(error)
    if found != (height, width):
        return (
            f'{mask}: the mask is {found[1]} x {found[0]} pixels, its image '
            f'{image} is {width} x {height}'
        )
    return None


def check_pairs(
    pairs: Mapping[str, tuple[str, str]],
    graded: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, str]:
    """Check many pairs, several at a time.

    Args:
        pairs (Mapping[str, tuple[str, str]]): From name to image and mask file.
        graded (bool): Whether masks may have any grey. Defaults to False.
        progress (Callable[[int, int], None], optional): Called as
            ``progress(done, total)`` every 1000 pairs. Defaults to None.

    Returns:
        dict[str, str]: From the name of each bad pair to what is wrong with it.
    """
    problems = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda pair: check_pair(*pair, graded), pairs.values())
        for done, (name, problem) in enumerate(zip(pairs, results), 1):
            if problem:
                problems[name] = problem
            if progress and done % 1000 == 0:
                progress(done, len(pairs))
    return problems
