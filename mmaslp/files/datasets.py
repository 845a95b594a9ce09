"""Data sets of images and masks: pairs by name, lists, and the parts of a set."""

import filecmp
import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations

from ..common.arguments import reading
from ..common.inputs import MOST_TEXT, check_file, read_file
from .images import IMAGE_SUFFIXES
from .layouts import find_folders
from .names import some, unpaired


@dataclass(frozen=True)
class Pairs:
    """Images and masks that belong together by their names without suffix.

    Attributes:
        folders (tuple[str, str]): Where the images lie, and where the masks.
        images (dict[str, str]): Path of each image below its folder, by stem.
        masks (dict[str, str]): Path of each mask below its folder, by stem.
    """

    folders: tuple[str, str]
    images: dict[str, str]
    masks: dict[str, str]

    def unpaired(self) -> list[str]:
        """Say which images have no mask, and which masks no image."""
        return unpaired(self.folders, self.images, self.masks)

    def paths(self) -> dict[str, tuple[str, str]]:
        """Paths of image and mask of each whole pair, by stem."""
        return {
            # One file has one spelling: the path identifies the image.
            stem: (
                os.path.normpath(os.path.join(self.folders[0], self.images[stem])),
                os.path.normpath(os.path.join(self.folders[1], self.masks[stem])),
            )
            for stem in self.images
            if stem in self.masks
        }


def list_pairs(
    folders: tuple[str, str],
    image_suffix: str | None = None,
    mask_suffix: str | None = None,
    list_file: str = '',
) -> Pairs:
    """List the images of a folder and the masks of another one, all or those of a list.

    If both lie in one folder, photographs are .jpg, .jpeg or .bmp and masks .png.
    """
    of_images: Sequence[str] = IMAGE_SUFFIXES
    of_masks: Sequence[str] = IMAGE_SUFFIXES
    if folders[0] == folders[1]:
        of_images, of_masks = ('.jpg', '.jpeg', '.bmp'), ('.png',)
    if image_suffix:
        of_images = (image_suffix,)
    if mask_suffix:
        of_masks = (mask_suffix,)

    images = list_stems(folders[0], of_images)
    masks = list_stems(folders[1], of_masks)
    if list_file:
        endings = [*of_images, *IMAGE_SUFFIXES]
        images = keep_listed(images, list_file, folders[0], endings)
        masks = {stem: masks[stem] for stem in images if stem in masks}
    return Pairs(folders, images, masks)


def locate(
    root: str, layout: str | None = None, split: str | None = None
) -> tuple[tuple[str, str], str]:
    """Find the folders of a set, or of a part of it, and the list of its images.

    A part is a folder (``train/images``, ``images/train``), or else what the list
    ``{split}.txt`` of the root names. Without a list the second value is ''.
    """
    try:
        return find_folders(root, layout, split), ''
    except FileNotFoundError:
        list_file = list_of(root, str(split))
        if split is None or not os.path.exists(list_file):
            raise
    return find_folders(root, layout), list_file


def list_stems(folder: str, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> dict[str, str]:
    """List the images of a folder and its sub-folders, but for hidden ones."""
    names = (
        os.path.relpath(os.path.join(place, name), folder).replace(os.sep, '/')
        for place, _, entries in os.walk(folder, followlinks=True)
        for name in entries
    )
    images: dict[str, str] = {}
    twice = []
    for name in sorted(names, reverse=True):
        stem = _stem(name, suffixes)
        if stem is None or '/.' in f'/{name}':  # Jupyter keeps copies in a hidden one
            continue
        if stem in images:
            twice.append(f'{name} and {images[stem]}')
        else:
            images[stem] = name
    if twice:
        twice.reverse()
        raise ValueError(
            f'{folder}: names that differ by their suffix only: {some(twice)}. '
            'Remove one of each'
        )

    if not images:
        raise FileNotFoundError(
            f'no image ({" ".join(suffixes)}) in {os.path.abspath(folder)}'
        )
    images = dict(sorted(images.items()))
    for name in images.values():  # who opens a pipe waits for ever
        check_file(os.path.join(folder, name))
    return images


def keep_listed(
    images: Mapping[str, str],
    list_file: str,
    folder: str,
    suffixes: Sequence[str] = IMAGE_SUFFIXES,
) -> dict[str, str]:
    """Keep the images that a list file names, one a line.

    Names may have a suffix, lines may end in CRLF, and blank lines do not count.
    """
    content = read_file(list_file, MOST_TEXT)
    with reading(f'{list_file} is not a list in UTF-8, save it as that'):
        text = content.decode('utf-8-sig')
    stems: Counter[str] = Counter()
    for line in text.splitlines():
        name = line.strip()
        if name in images:
            stems[name] += 1
        elif name:
            stems[_stem(name, suffixes) or name] += 1
    missing = sorted(stems.keys() - images.keys())
    if missing or not stems:
        raise ValueError(
            f'{list_file}: {len(missing)} of {len(stems)} listed images are not in '
            f'{folder}: {some(missing) or "the list is empty"}'
        )
    twice = [stem for stem, times in stems.items() if times > 1]
    if twice:
        raise ValueError(f'{list_file}: listed twice: {some(twice)}. Remove one line')
    return {stem: images[stem] for stem in sorted(stems)}


def _stem(name: str, suffixes: Sequence[str]) -> str | None:
    """Cut the first of some suffixes that a name ends with, without case."""
    for suffix in suffixes:
        if name.lower().endswith(suffix.lower()):
            return name[: len(name) - len(suffix)]
    return None


PARTS = ('train', 'val', 'test')
# By part the folders of its images and masks, and the file that lists them or ''.
Located = dict[str, tuple[tuple[str, str], str]]


def list_of(root: str, part: str) -> str:
    """File that lists the images of a part."""
    return os.path.join(root, f'{part}.txt')


def images_in_two(
    paths: Mapping[str, Mapping[str, tuple[str, str]]],
) -> list[str]:
    """Say which images are in two parts: what is measured on them is too good.

    Frames of two videos may have one name, so the files are compared.
    """
    problems = []
    for one, other in combinations(paths, 2):
        for name in paths[one]:
            if name not in paths[other]:
                continue
            image, same_name = paths[one][name][0], paths[other][name][0]
            if filecmp.cmp(image, same_name, shallow=False):
                problems.append(
                    f'image {name} of {one} is in {other} too: remove it from one of '
                    'them'
                )
    return problems


def divided_parts(root: str, layout: str | None = None) -> Located:
    """Locate the parts of a set; none if it is not divided."""
    parts = {}
    for part in PARTS:
        with suppress(FileNotFoundError):
            parts[part] = locate(root, layout, part)
    return parts


def describe_parts(parts: Mapping[str, tuple[tuple[str, str], str]]) -> str:
    """Name the parts of a set, and images in none of them; warn of those in two."""
    words = [', '.join(parts)]
    # A list that does not fit, or a folder without images, says so where it is read.
    with suppress(ValueError, FileNotFoundError):
        pairs = {
            part: list_pairs(folders, list_file=list_file).paths()
            for part, (folders, list_file) in parts.items()
        }
        words.append(unlisted(parts))
        for problem in images_in_two(pairs)[:1]:
            warnings.warn(problem, stacklevel=2)
    return '; '.join(filter(None, words))


def unlisted(parts: Mapping[str, tuple[tuple[str, str], str]]) -> str:
    """Say which images lie in a set that lists divide, and are in none of them."""
    lists = [list_file for _, list_file in parts.values()]
    if not lists or not all(lists):
        return ''
    (folder, _), _ = next(iter(parts.values()))
    images = list_stems(folder)
    listed: set[str] = set()
    for list_file in lists:
        listed |= keep_listed(images, list_file, folder).keys()
    left = sorted(images.keys() - listed)
    if not left:
        return ''
    return (
        f'{len(left)} images are in no list of a part, and stay unused: {some(left)}: '
        'add them to a list if they belong to it'
    )
