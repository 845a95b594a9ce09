"""Data sets of images and masks: layouts, pairs by name, checks and division."""

import os
import os.path as osp
import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from PIL import ImageOps

from ..common.arguments import check_number, optional
from ..common.inputs import MOST_TEXT, check_file
from ..common.outputs import check_outputs, write_output
from .images import IMAGE_SUFFIXES, open_image, read_binary_mask
from .layouts import find_folders
from .map_pairs import raise_problems
from .progress import track

SHOWN = 5


def list_pair(
    image_folder: str,
    mask_folder: str,
    image_suffix: str | None = None,
    mask_suffix: str | None = None,
) -> tuple[dict[str, str], dict[str, str]]:
    """List the images of a folder, and its masks, as {stem: relative path}.

    If both lie in one folder, photographs are .jpg, .jpeg or .bmp and masks .png.
    """
    images, masks = (
        (suffix,) if suffix else IMAGE_SUFFIXES
        for suffix in (image_suffix, mask_suffix)
    )
    if image_folder == mask_folder:
        images = images if image_suffix else ('.jpg', '.jpeg', '.bmp')
        masks = masks if mask_suffix else ('.png',)
    return list_stems(image_folder, images), list_stems(mask_folder, masks)


def list_stems(folder: str, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> dict[str, str]:
    """List the images of a folder and its sub-folders."""
    if not osp.isdir(folder):
        raise FileNotFoundError(f'no such folder: {osp.abspath(folder)}')
    found: dict[str, str] = {}
    twice = []
    names = (
        osp.relpath(osp.join(place, name), folder).replace(os.sep, '/')
        for place, _, entries in os.walk(folder, followlinks=True)
        for name in entries
        if not name.startswith('.')
    )

    for name in sorted(names):
        stem = _stem(name, suffixes)
        if stem is None:
            continue
        if stem in found:
            twice.append(f'{found[stem]} and {name}')
        found[stem] = name

    if twice:
        raise ValueError(
            f'{folder}: names that differ by their suffix only: {_some(twice)}. '
            'Remove one of each, or set the suffix'
        )

    if not found:
        raise ValueError(f'{folder}: holds no image ({" ".join(suffixes)})')
    return dict(sorted(found.items()))


def keep_listed(
    images: Mapping[str, str],
    list_file: str,
    folder: str,
    suffixes: Sequence[str] = IMAGE_SUFFIXES,
) -> dict[str, str]:
    """Keep the images that a list file names, one a line.

    Names may have a suffix, lines may end in CRLF, and blank lines do not count.
    """
    if not osp.isfile(list_file):
        raise FileNotFoundError(f'no such list file: {osp.abspath(list_file)}')
    check_file(list_file, MOST_TEXT)
    try:
        with open(list_file, encoding='utf-8-sig') as file:
            names = [line.strip() for line in file if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f'{list_file}: not a text file ({error})') from error

    stems = (name if name in images else _stem(name, suffixes) for name in names)
    counts = Counter(stem or name for stem, name in zip(stems, names))
    if not counts:
        raise ValueError(f'{list_file}: the list is empty')
    twice = [stem for stem, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f'{list_file}: names listed twice: {_some(twice)}')
    missing = [stem for stem in counts if stem not in images]
    if missing:
        raise ValueError(
            f'{list_file}: {len(missing)} of {len(counts)} listed images are not in '
            f'{folder}: {_some(missing)}'
        )

    return {stem: images[stem] for stem in sorted(counts)}


def unpaired_files(
    images: Collection[str], masks: Collection[str], image_folder: str, mask_folder: str
) -> dict[str, str]:
    """Say which images have no mask, and which masks no image, by stem."""
    bad = {
        stem: f'image {stem} of {image_folder} has no mask in {mask_folder}'
        for stem in sorted({*images} - {*masks})
    }
    return bad | {
        stem: f'mask {stem} of {mask_folder} has no image in {image_folder}'
        for stem in sorted({*masks} - {*images})
    }


def _stem(name: str, suffixes: Sequence[str]) -> str | None:
    """Cut the first of some suffixes that a name ends with, without case."""
    for suffix in suffixes:
        if name.lower().endswith(suffix.lower()):
            return name[: len(name) - len(suffix)]
    return None


def _some(names: Sequence[str]) -> str:
    more = f', ... ({len(names) - SHOWN} more)' if len(names) > SHOWN else ''
    return ', '.join(names[:SHOWN]) + more


PARTS = ('train', 'val', 'test')


@dataclass(frozen=True)
class Prepared:
    """A set that is checked and divided.

    Attributes:
        parts (dict[str, list[str]]): Names of the images of each part.
        left_out (list[str]): What is wrong with each pair that was left out.
        without_object (int): Images of all parts whose mask has no foreground.
    """

    parts: dict[str, list[str]]
    left_out: list[str]
    without_object: int


@dataclass(frozen=True)
class CheckedPair:
    """What is wrong with an image and its mask, '' if nothing is."""

    problem: str = ''
    has_object: bool = False


def prepare_dataset(
    root: str,
    layout: str = 'folder',
    *,
    val_list: str | None = None,
    val_ratio: float = 0.1,
    test_ratio: float | None = None,
    seed: int = 0,
    skip_bad: bool = False,
    overwrite: bool = False,
) -> Prepared:
    """Check every pair of image and mask, then write lists of train, val and test.

    The lists ``train.txt``, ``val.txt`` and ``test.txt`` lie in ``root``, where
    ``SODDataset(split='train')`` finds them. No other file is written. Arguments are
    those of the command.

    Raises:
        FileNotFoundError: There is no data; says where it looked and what to fetch.
        ValueError: The data has problems, all of which are listed; or a list is there.
    """
    check_number('--val-ratio', val_ratio, at_least=0, below=1)
    optional(check_number, '--test-ratio', test_ratio, at_least=0, below=1)
    if test_ratio is None:
        test_ratio = 0.2 if layout in ('folder', 'mmseg') else 0.0
    images, masks = find_folders(root, layout)
    parts = [part for part in PARTS if osp.isdir(osp.join(images, part))]
    if parts:
        raise ValueError(f'{images} is divided already, into {", ".join(parts)}')
    pairs = list_pair(images, masks)
    graded = layout == 'PASCAL-S'  # masks of votes

    checked = _check_pairs(images, masks, *pairs, graded)
    bad = unpaired_files(*pairs, images, masks)
    bad |= {stem: pair.problem for stem, pair in checked.items() if pair.problem}
    if not skip_bad:
        raise_problems([*bad.values()], f'{root} (--skip-bad leaves them out)')
    good = [stem for stem in pairs[0] if stem not in bad]
    found = divide(good, bad, val_list or val_ratio, test_ratio, seed)
    files = {part: osp.join(root, f'{part}.txt') for part in found}
    check_outputs({'': files.values()}, [val_list], overwrite)
    for part, path in files.items():
        write_output(path, '\n'.join(found[part]) + '\n', overwrite)
    empty = sum(not checked[stem].has_object for stem in good)
    return Prepared(found, [*bad.values()], empty)


def divide(
    names: Iterable[str],
    left_out: Iterable[str],
    val: str | float,
    test_ratio: float,
    seed: int,
) -> dict[str, list[str]]:
    """Divide names into train, val and test; the same seed gives the same parts.

    ``val`` is a share, or a list file, which may name those left out. Empty parts are
    left out.
    """
    names = sorted(names)
    shuffled = random.Random(seed).sample(names, len(names))
    if isinstance(val, str):
        known = dict.fromkeys([*names, *left_out])
        listed = keep_listed(known, val, 'the set')
        chosen = [name for name in shuffled if name in listed]
    else:
        chosen = shuffled[: round(val * len(names))]

    taken = {*chosen}
    rest = [name for name in shuffled if name not in taken]
    count = round(test_ratio * len(names))
    parts = dict(zip(PARTS, (rest[count:], chosen, rest[:count])))
    if not parts['train']:
        raise ValueError('the split leaves no image to train on')
    return {part: sorted(found) for part, found in parts.items() if found}


def _check_pairs(
    image_folder: str,
    mask_folder: str,
    images: dict[str, str],
    masks: dict[str, str],
    graded: bool,
) -> dict[str, CheckedPair]:
    """Look at every pair."""
    pairs = {
        stem: (osp.join(image_folder, images[stem]), osp.join(mask_folder, masks[stem]))
        for stem in images
        if stem in masks
    }
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checked = pool.map(partial(_checked_pair, graded=graded), pairs.values())
        return dict(zip(track(pairs, 'checking'), checked))


def _checked_pair(pair: tuple[str, str], graded: bool) -> CheckedPair:
    image, mask = pair
    try:
        # MMSegmentation turns photographs as their EXIF data says.
        width, height = ImageOps.exif_transpose(open_image(image)).size
    except ValueError as error:
        return CheckedPair(f'{image}: {error}')

    try:
        labels = read_binary_mask(mask, graded=graded)
    except (OSError, ValueError) as error:
        return CheckedPair(str(error))

    rows, columns = labels.shape
    if (rows, columns) == (height, width):
        return CheckedPair(has_object=bool(labels.any()))

    return CheckedPair(
        f'{mask}: the mask is {columns} x {rows} pixels, its image {image} is '
        f'{width} x {height}'
    )
