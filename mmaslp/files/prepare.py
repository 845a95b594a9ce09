"""Bringing downloaded data into the layout that the configs read."""

import os
import os.path as osp
import random
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial

import numpy as np
from PIL import Image

from .atomic_write import atomic_write
from .layouts import find_folders, get_layout
from .masks import read_binary_mask
from .names import shown
from .pairing import list_stems, read_list, select, tell_apart
from .progress import track
from .synthetic import make_synthetic_sod

__all__ = ['SETS', 'Split', 'check_pair', 'image_size', 'prepare_dataset']

# The only set without masks: textures, chosen by a list.
TEXTURES = 'DTD-500'
# From the name that the user gives to its layouts.
SETS = {
    'duts': ('DUTS-TR', 'DUTS-TE'),
    'duts-tr': ('DUTS-TR',),
    'duts-te': ('DUTS-TE',),
    'dut-omron': ('DUT-OMRON',),
    'pascal-s': ('PASCAL-S',),
    'sod': ('SOD',),
    'ecssd': ('ECSSD',),
    'hku-is': ('HKU-IS',),
    'dtd-500': (TEXTURES,),
    'folder': ('folder',),
    'synthetic': (),
}
MAX_SHOWN = 100
# Images hardly shrink: an archive beyond both limits is a decompression bomb.
MAX_RATIO, MAX_SMALL = 200, 2**28
# Share of validation images where the user gives none; DUTS: that of the paper's split.
VAL_RATIOS = {'DUTS-TR': 1000 / 10553, 'folder': 0.1}
TRANSPOSED = (5, 6, 7, 8)  # values of the EXIF orientation
ORIENTATION = 274
# From name to image file and mask file; None without a mask.
Pairs = dict[str, tuple[str, str | None]]


@dataclass(frozen=True)
class Split:
    """How a set is divided: by a list or at random.

    Args:
        val_list (str, optional): File with the names of the validation images.
        val_ratio (float, optional): Else their share, in [0, 1). Defaults to None:
            0.1, or that of the paper for DUTS.
        test_ratio (float): Share of test images, in [0, 1). Defaults to 0.2.
        seed (int): Seed of the random choice. Defaults to 0.

    Raises:
        ValueError: If the shares leave nothing to train on.
    """

    val_list: str | None = None
    val_ratio: float | None = None
    test_ratio: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        ratios = (self.val_ratio or 0.0, self.test_ratio)
        if not (min(ratios) >= 0 and sum(ratios) < 1):
            raise ValueError(
                '--val-ratio and --test-ratio must not be negative and leave something '
                f'to train on, not {self.val_ratio} and {self.test_ratio}'
            )

    def divide(self, layout: str, names: Sequence[str], left_out: Sequence[str] = ()):
        """Divide names; the same seed and names give the same parts.

        Args:
            layout (str): 'folder' takes test images too.
            names (Sequence[str]): Names of all usable images.
            left_out (Sequence[str]): Names of bad images, which the list may contain.

        Returns:
            dict[str, list[str]]: Sorted names of ``train``, ``val`` and ``test``;
            empty parts are left out.

        Raises:
            ValueError: The list names other images, or leaves none to train on.
        """
        names = sorted(names)
        shuffled = random.Random(self.seed).sample(names, len(names))
        if self.val_list:
            known = dict.fromkeys([*names, *left_out])
            listed = select(
                known, read_list(self.val_list), self.val_list, 'the source'
            )
            val = [name for name in shuffled if name in listed]
        else:
            ratio = VAL_RATIOS[layout] if self.val_ratio is None else self.val_ratio
            val = shuffled[: round(ratio * len(names))]
        chosen = set(val)
        rest = [name for name in shuffled if name not in chosen]
        count = round(self.test_ratio * len(names)) if layout == 'folder' else 0
        parts = {'train': rest[count:], 'val': val, 'test': rest[:count]}
        if not parts['train']:
            raise ValueError('the split leaves no image to train on')
        return {part: sorted(found) for part, found in parts.items() if found}


def image_size(path: str) -> tuple[int, int]:
    """Decode an image and return its size as MMSegmentation's loader sees it."""
    try:
        with Image.open(path) as image:
            image.load()
            width, height = image.size
            turned = image.getexif().get(ORIENTATION) in TRANSPOSED
    except Exception as error:  # PIL raises a dozen types on broken files
        raise ValueError(f'{path}: not a readable image ({error})') from error
    return (height, width) if turned else (width, height)


def check_pair(image: str, mask: str | None, graded: bool = False) -> str | None:
    """Check that an image and its mask can be read and fit together."""
    try:
        width, height = image_size(image)
        if mask is None:
            return None
        rows, columns = read_binary_mask(mask, graded=graded).shape
    except (OSError, ValueError) as error:
        return str(error)
    if (rows, columns) != (height, width):
        return (
            f'{mask}: the mask is {columns} x {rows} pixels, its image {image} is '
            f'{width} x {height}'
        )
    return None


def prepare_dataset(
    name: str,
    sources: Sequence[str] = (),
    out: str = 'data',
    *,
    list_file: str | None = None,
    split: Split | None = None,
    skip_bad: bool = False,
    report: Callable[[str], None] = print,
) -> None:
    """Check a downloaded data set and write it in the layout of the configs.

    Every pair of image and mask is checked before anything is written, and each set
    appears under ``out`` in one piece. The sources are never changed.

    Args:
        name (str): A key of :data:`SETS`.
        sources (Sequence[str]): Archives as they were downloaded (zip, tar), or
            folders with the unpacked data or with these archives. 'synthetic' needs
            none.
        out (str): The folder of all sets, which the configs call ``data_root``; for
            'folder' that of this set. Defaults to 'data'.
        list_file (str, optional): For 'dtd-500': the textures to take, one name a
            line. Defaults to None.
        split (Split, optional): For 'duts' and 'folder': which images validate and
            test. 'synthetic' takes its seed. Defaults to None: ``Split()``.
        skip_bad (bool): Leave out bad pairs instead of stopping. Defaults to False.
        report (Callable[[str], None]): Receives lines about the progress. Defaults to
            ``print``.

    Raises:
        FileNotFoundError: The data does not exist; says where it looked and what to
            fetch.
        ValueError: The data has problems; lists all of them.
    """
    split = split or Split()
    if name == 'synthetic':
        folder = osp.join(out, 'synthetic_sod')
        make_synthetic_sod(folder, split.seed)
        report(f'synthetic set, seed {split.seed}, in {folder}')
        return
    _check_sources(name, sources, out)
    os.makedirs(osp.dirname(osp.abspath(out)), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=osp.dirname(osp.abspath(out))) as staging:
        roots = [*sources, staging]
        for archive in _archives(name, sources):
            report(f'unpacking {archive}')
            _unpack(archive, staging)
        found = _find_sets(name, roots, list_file, report)
        problems = [line for _, bad in found.values() for line in bad.values()]
        listed = [shown(problem) for problem in problems[:MAX_SHOWN]]
        if len(problems) > MAX_SHOWN:
            listed.append(f'... and {len(problems) - MAX_SHOWN} more')
        if problems and not skip_bad:
            raise ValueError(
                f'{len(problems)} problems, nothing was written (--skip-bad leaves '
                'these files out):\n' + '\n'.join(listed)
            )
        for problem in listed:
            report(f'left out: {problem}')
        for layout, (pairs, bad) in found.items():
            _write_set(layout, pairs, bad, out, split, report)


def _check_sources(name: str, sources: Sequence[str], out: str) -> None:
    """Refuse what makes no sense before anything is unpacked."""
    if not sources:
        fetch = '; '.join(get_layout(layout).fetch for layout in SETS[name])
        raise ValueError(f'--source is needed: {fetch}')
    for path in sources:
        if not osp.exists(path):
            raise FileNotFoundError(f'--source {osp.abspath(path)} does not exist')
        place, source = osp.realpath(out), osp.realpath(path)
        if name == 'folder' and osp.join(place, '').startswith(osp.join(source, '')):
            raise ValueError(
                f'--out {out} lies in --source {path}, and sources are never changed: '
                'write to another folder'
            )


def _archives(name: str, sources: Sequence[str]) -> list[str]:
    """Archives among the sources, and in folders that do not hold the data yet."""
    suffixes = tuple(s for _, known, _ in shutil.get_unpack_formats() for s in known)
    patterns = [p for layout in SETS[name] for p in get_layout(layout).archives]
    found = []
    for path in sources:
        if osp.isfile(path):
            if not path.lower().endswith(suffixes):
                raise ValueError(
                    f'{path}: not an archive that can be unpacked here '
                    f'({" ".join(suffixes)}): unpack it and give the folder'
                )
            found.append(path)
        elif not any(_locate(layout, [path]) for layout in SETS[name]):
            found += [
                osp.join(path, entry)
                for entry in sorted(os.listdir(path))
                if entry.lower().endswith(suffixes)
                and any(fnmatch(entry.lower(), pattern) for pattern in patterns)
            ]
    return found


def _unpack(archive: str, folder: str) -> None:
    """Unpack plain files below a folder, with Python's own filter of members."""
    zipped = archive.lower().endswith('.zip')
    try:
        with (zipfile.ZipFile if zipped else tarfile.open)(archive) as file:
            members = file.infolist() if zipped else file
            total = sum(
                getattr(m, 'file_size', 0) or getattr(m, 'size', 0) for m in members
            )
        if total > max(MAX_SMALL, MAX_RATIO * osp.getsize(archive)):
            raise ValueError(
                f'it unpacks to more than {MAX_RATIO} times its size, as images do not'
            )
        if zipped:  # zipfile drops '..' and absolute paths itself and makes no links
            shutil.unpack_archive(archive, folder)
        else:
            shutil.unpack_archive(archive, folder, filter='data')
    except Exception as error:  # of zipfile, tarfile and the decompressors
        if isinstance(error, OSError) and error.errno:
            raise  # the disk is full, no permission, ...
        raise ValueError(
            f'{archive}: cannot be unpacked ({error}): fetch it again, or unpack it '
            'yourself and give the folder'
        ) from error


def _find_sets(
    name: str,
    roots: Sequence[str],
    list_file: str | None,
    report: Callable[[str], None],
) -> dict[str, tuple[Pairs, dict[str, str]]]:
    """Find and check the sets of a name: the good pairs and the problems of each."""
    found, missing = {}, []
    for layout in SETS[name]:
        try:
            pairs, bad = _find_pairs(layout, roots, list_file)
        except FileNotFoundError as error:
            missing.append(str(error))
            continue
        check = partial(check_pair, graded=get_layout(layout).graded)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            checked = pool.map(check, *zip(*pairs.values()))
            marked = zip(track(pairs, f'checking {layout}'), checked)
            bad.update({stem: problem for stem, problem in marked if problem})
        good = {key: pair for key, pair in pairs.items() if key not in bad}
        found[layout] = good, bad
    if not found:
        raise FileNotFoundError('\n'.join(missing))
    for message in missing:
        report(f'not prepared: {message}')
    return found


def _find_pairs(
    layout: str, roots: Sequence[str], list_file: str | None
) -> tuple[Pairs, dict[str, str]]:
    """Pair images and masks; name the files without a partner."""
    folders = _locate(layout, roots)
    if folders is None and layout == 'folder':
        _refuse_splits(roots)
    if folders is None:  # then this says where it looked and what to fetch
        folders = find_folders(roots[0], layout, need_masks=layout != TEXTURES)
    image_folder, mask_folder = folders
    image_suffix, mask_suffix = tell_apart(image_folder, mask_folder)
    images = list_stems(image_folder, image_suffix)
    if layout == TEXTURES:
        images = _choose_textures(images, image_folder, list_file)
        return {k: (osp.join(image_folder, p), None) for k, p in images.items()}, {}
    masks = list_stems(mask_folder, mask_suffix)
    bad = {
        stem: f'{osp.join(image_folder, images[stem])}: has no mask in {mask_folder}'
        for stem in images.keys() - masks.keys()
    }
    bad |= {
        stem: f'{osp.join(mask_folder, masks[stem])}: has no image in {image_folder}'
        for stem in masks.keys() - images.keys()
    }
    pairs: Pairs = {
        stem: (osp.join(image_folder, path), osp.join(mask_folder, masks[stem]))
        for stem, path in images.items()
        if stem in masks
    }
    return pairs, dict(sorted(bad.items()))


def _locate(layout: str, roots: Sequence[str]) -> tuple[str, str | None] | None:
    """Find the folders of a set in any root, or in the only folder of a root."""
    for root in roots:
        for _ in range(4):
            try:
                return find_folders(root, layout, need_masks=layout != TEXTURES)
            except FileNotFoundError:
                inner = os.scandir(root) if osp.isdir(root) else ()
                inner = [e for e in inner if not e.name.startswith(('.', '__MACOSX'))]
                if len(inner) != 1 or not inner[0].is_dir():
                    break
                root = inner[0].path
    return None


def _refuse_splits(roots: Sequence[str]) -> None:
    """Stop at a set that is already divided."""
    for root in roots:
        try:
            find_folders(root, split='train')
        except FileNotFoundError:
            continue
        raise ValueError(
            f'{root} is split already: use it as data_root, with split="train"'
        )


def _choose_textures(
    images: dict[str, str], folder: str, list_file: str | None
) -> dict[str, str]:
    """Take the listed textures out of the folders of their classes."""
    flat: dict[str, str] = {}
    for stem, path in images.items():
        if flat.setdefault(osp.basename(stem), path) != path:
            raise ValueError(f'{folder}: {flat[osp.basename(stem)]} and {path} clash')
    if list_file:
        return select(flat, read_list(list_file), list_file, folder)
    if len(flat) > get_layout(TEXTURES).images:
        raise ValueError(
            f'{folder} holds {len(flat)} images: name the 500 to take with --list (the '
            'authors of the paper publish theirs beside their code)'
        )
    return flat


def _write_set(
    name: str,
    pairs: Pairs,
    bad: dict[str, str],
    out: str,
    split: Split,
    report: Callable[[str], None],
) -> None:
    """Write a set and its split in one piece."""
    layout, lists = get_layout(name), {}
    if name == 'folder':
        target, parts = out, split.divide(name, [*pairs], [*bad])
        folders = {part: (f'{part}/images', f'{part}/masks') for part in parts}
    else:
        target, parts = osp.join(out, layout.homes[0]), {'': list(pairs)}
        folders = {'': layout.pairs()[0]}
        if len(pairs) != layout.images:
            report(f'{name}: {len(pairs)} images; the complete set has {layout.images}')
    if name == 'DUTS-TR':  # before anything is written: the list may be wrong
        lists = split.divide(name, [*pairs], [*bad])
    files = {}
    for part, stems in parts.items():
        image_folder, mask_folder = folders[part]
        for stem in stems:
            image, mask = pairs[stem]
            kept = mask is not None and not layout.graded
            suffix = osp.splitext(mask)[1] if kept else '.png'
            files[f'{image_folder}/{stem}{osp.splitext(image)[1]}'] = image, None
            files[f'{mask_folder}/{stem}{suffix}'] = mask if kept else None, pairs[stem]
    if not _holds(target, pairs):
        _write_files(files, target, report)
    report(f'{name}: {len(pairs)} pairs in {target}')
    for part, stems in lists.items():
        atomic_write(osp.join(target, f'{part}.txt'), '\n'.join(stems) + '\n')
    if lists:
        source = split.val_list or f'at random, seed {split.seed}'
        sizes = ', '.join(f'{len(stems)} {part}' for part, stems in lists.items())
        report(f'{name}: split into {sizes} ({source})')


def _write_files(files: dict, target: str, report: Callable[[str], None]) -> None:
    """Write files to a folder beside the target, then rename it to the target."""
    if osp.isdir(target) and os.listdir(target):
        if not all(osp.exists(osp.join(target, *name.split('/'))) for name in files):
            raise ValueError(
                f'{target} holds other data: remove it, or name another --out'
            )
        report(f'{target}: already there')
        return
    parent, base = osp.split(osp.abspath(target))
    partial = osp.join(parent, f'.{base}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    for relative, (source, pair) in track(files.items(), f'writing {shown(target)}'):
        path = osp.join(partial, *relative.split('/'))
        os.makedirs(osp.dirname(path), exist_ok=True)
        if source is None:
            _write_mask(path, *pair)
        else:
            shutil.copyfile(source, path)
    if osp.isdir(target):
        os.rmdir(target)
    os.rename(partial, target)


def _write_mask(path: str, image: str, mask: str | None) -> None:
    """Write votes cut at half, or the empty mask of an image without one."""
    if mask is None:
        pixels = np.zeros(image_size(image)[::-1], np.uint8)
    else:
        pixels = read_binary_mask(mask, graded=True).astype(np.uint8)
    Image.fromarray(pixels * np.uint8(255)).save(path)


def _holds(target: str, pairs: Pairs) -> bool:
    """Whether the source already lies in the target."""
    image = osp.realpath(next(iter(pairs.values()))[0])
    return image.startswith(osp.realpath(target) + os.sep)
