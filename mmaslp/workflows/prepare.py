"""Checking a data set of images and masks, and dividing it."""

import os
import random
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from PIL import ImageOps

from ..common.arguments import check_integer, check_number, optional
from ..common.inputs import naming
from ..common.outputs import check_outputs, write_output
from ..files.copies import find_copies
from ..files.datasets import (
    PARTS,
    Located,
    Pairs,
    divided_parts,
    images_in_two,
    keep_listed,
    list_of,
    list_pairs,
    unlisted,
)
from ..files.images import open_image, read_binary_mask
from ..files.layouts import LAYOUTS, find_folders
from ..files.names import display_name, raise_problems
from ..files.progress import track


@dataclass(frozen=True)
class Prepared:
    """A set that is checked and divided.

    Attributes:
        parts (dict[str, list[str]]): Names of the images of each part.
        without_object (int): Images of all parts whose mask has no foreground.
        lists (list[str]): The list files that were written; none if the set was divided
            before.
    """

    parts: dict[str, list[str]]
    without_object: int
    lists: list[str]


def prepare_dataset(
    root: str,
    layout: str | None = None,
    *,
    val_list: str | None = None,
    val_ratio: float = 0.1,
    test_ratio: float | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> Prepared:
    """Check every pair of image and mask, and divide a set that is not divided.

    The lists ``train.txt``, ``val.txt`` and ``test.txt`` lie in ``root``, where
    ``SODDataset(split='train')`` finds them. No other file is written. Of a set that is
    divided, into folders or by such lists, nothing is written. Arguments are those of
    the command.

    Raises:
        FileNotFoundError: There is no data; says where it looked and what to fetch.
        ValueError: The data has problems, all of which are listed.
    """
    check_number('val_ratio', val_ratio, at_least=0, below=1)
    optional(check_number, 'test_ratio', test_ratio, at_least=0, below=1)
    if test_ratio is None:
        test_ratio = 0.0 if LAYOUTS.get(layout or '', LAYOUTS['folder']).home else 0.2

    located = _parts_to_keep(root, layout, overwrite)
    checked = _check_parts(located or {'': (find_folders(root, layout), '')}, layout)
    raise_problems(checked.problems, root)
    raise_problems(images_in_two(checked.paths), root)
    unused = unlisted(located)
    if unused:
        warnings.warn(f'{root}: {unused}', stacklevel=2)
    copies = _copies(checked.paths)
    if copies:
        warnings.warn(f'{root}: {copies}', stacklevel=2)
    if located:
        parts = {part: list(paths) for part, paths in checked.paths.items()}
        return Prepared(parts, checked.without_object, [])

    paths = checked.paths['']
    raise_problems(_names_that_are_no_line(paths), root)
    parts = divide(paths, val_list or val_ratio, test_ratio, seed)
    inputs = [val_list, *chain(*paths.values())]
    lists = _write_lists(root, parts, inputs, overwrite)
    return Prepared(parts, checked.without_object, lists)


def _parts_to_keep(root: str, layout: str | None, overwrite: bool) -> Located:
    """Locate the parts of a set that is divided; none if it has to be divided."""
    located = {}
    for part, place in divided_parts(root, layout).items():
        _, list_file = place
        if not (overwrite and list_file):  # what a list divides is divided anew
            located[part] = place
    if located and 'train' not in located:
        raise ValueError(
            f'{root} has {" and ".join(located)} and nothing to train on: name one '
            'part train, or move what divides it, such as val.txt, elsewhere: there '
            '`val_list` may name it'
        )
    return located


@dataclass(frozen=True)
class _Checked:
    """Paths of image and mask by part and stem, and what is wrong with them."""

    paths: dict[str, dict[str, tuple[str, str]]]
    problems: list[str]
    without_object: int


def _check_parts(located: Located, layout: str | None) -> _Checked:
    """Check every pair of some parts."""
    paths = {}
    problems: list[str] = []
    without_object = 0
    for part, (folders, list_file) in located.items():
        pairs = list_pairs(folders, list_file=list_file)
        paths[part] = pairs.paths()
        faults, empty = check_pairs(pairs, graded=layout == 'PASCAL-S')  # votes
        problems += faults
        without_object += empty
    return _Checked(paths, problems, without_object)


def _copies(paths: Mapping[str, Mapping[str, tuple[str, str]]]) -> str:
    """Say which images are there twice, under two names; '' if none is."""
    files = {}
    for part, pairs in paths.items():
        for name, (image, _) in pairs.items():
            files[os.path.join(part, name)] = Path(image)

    groups = find_copies(files)
    if not groups:
        return ''
    number = sum(len(group) - 1 for group in groups)
    original, copy, *_ = groups[0]
    return (
        f'{number} of {len(files)} images are copies of others under other names, such '
        f'as {display_name(copy)} of {display_name(original)}: keep one of each, or '
        'images of the training may be in val and test too'
    )


def _names_that_are_no_line(names: Iterable[str]) -> list[str]:
    """Say which names a list cannot hold, as :func:`keep_listed` reads it."""
    problems = []
    for name in names:
        line = name.encode(errors='replace').decode('utf-8-sig')
        if line.strip().splitlines() != [name]:
            problems.append(
                f'{name}: the name of an image must be a line of a list: rename it'
            )
    return problems


def _write_lists(
    root: str,
    parts: Mapping[str, Sequence[str]],
    inputs: Sequence[str | None],
    overwrite: bool,
) -> list[str]:
    """Write a list of names for each part; give the files."""
    for part in PARTS:
        other = list_of(root, part)
        if part not in parts and os.path.isfile(other):
            raise ValueError(f'{other} is of another division: remove it')

    lists = [list_of(root, part) for part in parts]
    check_outputs({'': lists}, inputs, overwrite)
    for path, names in zip(lists, parts.values()):
        write_output(path, '\n'.join(names) + '\n', overwrite)
    return lists


def _count(share: float, names: Sequence[str]) -> int:
    """How many names a share is: one at least, but of 0."""
    return max(1, round(share * len(names))) if share else 0


def divide(
    names: Iterable[str], val: str | float, test_ratio: float, seed: int
) -> dict[str, list[str]]:
    """Divide names into train, val and test; the same seed gives the same parts.

    ``val`` is a share, or a list file. A part has one image at least; one whose share
    is 0 is left out.
    """
    names = sorted(names)
    shuffled = random.Random(check_integer('seed', seed)).sample(names, len(names))
    if isinstance(val, str):
        chosen = list(keep_listed(dict.fromkeys(names, ''), val, 'the set'))
    else:
        chosen = shuffled[: _count(val, names)]

    taken = set(chosen)
    rest = [name for name in shuffled if name not in taken]
    count = _count(test_ratio, names)
    parts = {'train': rest[count:], 'val': chosen, 'test': rest[:count]}
    if not parts['train']:
        raise ValueError(
            f'of {len(names)} images the split leaves no image to train on: add '
            'images, lower `val_ratio` or `test_ratio` of `mmaslp prepare` (0 leaves '
            'the part out), or shorten the list'
        )
    return {part: sorted(names) for part, names in parts.items() if names}


def check_pairs(pairs: Pairs, graded: bool = False) -> tuple[list[str], int]:
    """Decode every image and mask, and compare their sizes.

    Returns:
        tuple[list[str], int]: The problems, and the masks without foreground.
    """
    paths = pairs.paths()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = pool.map(partial(_foreground, graded=graded), *zip(*paths.values()))
        results = [*track(checked, 'checking', len(paths))]

    problems = [result for result in results if isinstance(result, str)]
    if results and results.count(1.0) == len(results):
        warnings.warn(
            f'{pairs.folders[1]}: all masks are foreground alone', stacklevel=3
        )
    return pairs.unpaired() + problems, results.count(0.0)


def _foreground(image: str, mask: str, graded: bool) -> float | str:
    """The share of foreground in the mask, or what is wrong with the pair."""
    try:
        with naming(image):
            # MMSegmentation turns photographs as their EXIF data says.
            stored = open_image(image)
            size = ImageOps.exif_transpose(stored).size
        labels = read_binary_mask(mask, graded=graded)
    except (OSError, ValueError) as error:
        return str(error)

    height, width = labels.shape
    if (width, height) != size:
        turned = ', turned as its EXIF data says' if stored.size != size else ''
        return (
            f'{mask}: the mask is {width} x {height} pixels, its image {image} is '
            f'{size[0]} x {size[1]}{turned}'
        )
    return float(labels.mean())
