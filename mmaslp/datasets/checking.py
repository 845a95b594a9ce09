"""Checks of files on disk before they are used."""

import os
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from .masks import read_binary_mask

TRANSPOSED = (5, 6, 7, 8)  # values of the EXIF orientation
ORIENTATION = 274


def image_size(path):
    """Decode an image and return its size as the host's loader sees it.

    Args:
        path (str): An image file.

    Returns:
        tuple[int, int]: Width and height, turned by the EXIF orientation.

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


def check_pair(image, mask, graded=False):
    """Check that an image and its mask can be read and fit together.

    Args:
        image (str): An image file.
        mask (str): A mask file.
        graded (bool): Whether the mask may have any grey level. Defaults to False.

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


def check_pairs(pairs, graded=False, progress=None):
    """Check many pairs, several at a time.

    Args:
        pairs (dict[str, tuple[str, str]]): From name to image and mask file.
        graded (bool): Whether masks may have any grey level. Defaults to False.
        progress (callable, optional): Called as ``progress(done, total)`` now and
            then. Defaults to None.

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
