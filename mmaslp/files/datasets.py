"""Data sets of images and masks: layouts, pairs by name, checks and division."""

import filecmp
import os
import random
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, combinations

from PIL import ImageOps

from ..common.arguments import check_integer, check_number, optional, reading
from ..common.inputs import MOST_TEXT, check_file, naming, read_file
from ..common.outputs import check_outputs, write_output
from .images import IMAGE_SUFFIXES, open_image, read_binary_mask
from .layouts import LAYOUTS, find_folders
from .names import raise_problems, some, unpaired
from .progress import track


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
        list_file = _list_of(root, str(split))
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
    check_number('--val-ratio', val_ratio, at_least=0, below=1)
    optional(check_number, '--test-ratio', test_ratio, at_least=0, below=1)
    if test_ratio is None:
        test_ratio = 0.0 if LAYOUTS.get(layout or '', LAYOUTS['folder']).home else 0.2

    located = _parts_to_keep(root, layout, overwrite)
    checked = _check_parts(located or {'': (find_folders(root, layout), '')}, layout)
    raise_problems(checked.problems, root)
    raise_problems(images_in_two(checked.paths), root)
    unused = unlisted(located)
    if unused:
        warnings.warn(f'{root}: {unused}', stacklevel=2)
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
            '--val-list may name it'
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
        other = _list_of(root, part)
        if part not in parts and os.path.isfile(other):
            raise ValueError(f'{other} is of another division: remove it')

    lists = [_list_of(root, part) for part in parts]
    check_outputs({'': lists}, inputs, overwrite)
    for path, names in zip(lists, parts.values()):
        write_output(path, '\n'.join(names) + '\n', overwrite)
    return lists


def _list_of(root: str, part: str) -> str:
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
            'images, lower --val-ratio or --test-ratio of `mmaslp prepare` (0 leaves '
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
