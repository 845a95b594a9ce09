"""Bringing downloaded data into the layout that the configs read."""

import os
import os.path as osp
import random
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from PIL import Image, ImageOps

from ..core.argument_checks import check_number, optional
from .atomic_write import atomic_write
from .images import open_image
from .layouts import SETS, find_folders, get_layout
from .map_pairs import refuse
from .masks import read_binary_mask
from .names import shown
from .pairing import keep_listed, list_pair, list_stems, lonely
from .progress import track
from .synthetic import make_synthetic_sod

# The only set without masks: textures, chosen by a list.
TEXTURES = 'DTD-500'
# Its masks are the votes of several people, which are cut at half.
GRADED = 'PASCAL-S'
# Images hardly shrink: an archive beyond both limits is a decompression bomb.
MAX_RATIO, MAX_SMALL = 200, 2**28
# Share of validation images where the user gives none; DUTS: that of the paper's split.
VAL_RATIOS = {'DUTS-TR': 1000 / 10553, 'folder': 0.1}
# From name to image file and mask file; None without a mask.
Pairs = dict[str, tuple[str, str | None]]


def prepare_dataset(
    name: str,
    sources: Sequence[str] = (),
    out: str = 'data',
    *,
    list_file: str | None = None,
    val_list: str | None = None,
    val_ratio: float | None = None,
    test_ratio: float = 0.2,
    seed: int = 0,
    skip_bad: bool = False,
    report: Callable[[str], None] = print,
) -> None:
    """Check a downloaded data set and write it in the layout of the configs.

    The options are those of ``mmaslp prepare``. Every pair of image and mask is checked
    before anything is written, and each set appears under ``out`` in one piece. The
    sources are never changed.

    Raises:
        FileNotFoundError: The data does not exist; says where it looked and what to
            fetch.
        ValueError: The data has problems; lists all of them.
    """
    check_number('--test-ratio', test_ratio, at_least=0, below=1)
    optional(check_number, '--val-ratio', val_ratio, at_least=0, below=1)
    if name == 'synthetic':
        folder = osp.join(out, 'synthetic_sod')
        make_synthetic_sod(folder, seed)
        report(f'synthetic set, seed {seed}, in {folder}')
        return
    if not sources:
        fetch = '; '.join(get_layout(layout).fetch for layout in SETS[name])
        raise ValueError(f'--source is needed: {fetch}')
    for path in sources:
        if not osp.exists(path):
            raise FileNotFoundError(f'--source {osp.abspath(path)} does not exist')
    parent = osp.dirname(osp.abspath(out))
    os.makedirs(parent, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as staging:
        for archive in filter(osp.isfile, sources):
            report(f'unpacking {archive}')
            _unpack(archive, staging)
        roots = [*filter(osp.isdir, sources), staging]
        found = {layout: _find_pairs(layout, roots, list_file) for layout in SETS[name]}
        problems = []
        for layout, (pairs, bad) in found.items():
            bad |= _check_pairs(layout, pairs)
            problems += bad.values()
        if not skip_bad:
            refuse(
                problems, f'{name}, nothing was written (--skip-bad leaves them out)'
            )
        for problem in problems:
            report(f'left out: {shown(problem)}')
        for layout, (pairs, bad) in found.items():
            good = {stem: pair for stem, pair in pairs.items() if stem not in bad}
            parts = {'': [*good]}
            if layout in VAL_RATIOS:
                val = VAL_RATIOS[layout] if val_ratio is None else val_ratio
                test = test_ratio if layout == 'folder' else 0.0
                parts = divide(good, bad, val_list or val, test, seed)
            _write_set(layout, good, parts, out, report)


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
        listed = keep_listed(known, val, 'the source')
        chosen = [name for name in shuffled if name in listed]
    else:
        chosen = shuffled[: round(val * len(names))]
    taken = {*chosen}
    rest = [name for name in shuffled if name not in taken]
    count = round(test_ratio * len(names))
    parts = {'train': rest[count:], 'val': chosen, 'test': rest[:count]}
    if not parts['train']:
        raise ValueError('the split leaves no image to train on')
    return {part: sorted(found) for part, found in parts.items() if found}


def _unpack(archive: str, folder: str) -> None:
    """Unpack plain files below a folder, with Python's own filter of members."""
    zipped = archive.lower().endswith('.zip')
    try:
        if zipped:
            with zipfile.ZipFile(archive) as file:
                total = sum(member.file_size for member in file.infolist())
        else:
            with tarfile.open(archive) as file:
                total = sum(member.size for member in file)
        if total > max(MAX_SMALL, MAX_RATIO * osp.getsize(archive)):
            raise ValueError(
                f'it unpacks to more than {MAX_RATIO} times its size, as images do not'
            )
        # zipfile drops '..' and absolute paths itself and makes no links.
        shutil.unpack_archive(archive, folder, **({} if zipped else {'filter': 'data'}))
    except Exception as error:  # of zipfile, tarfile and the decompressors
        if isinstance(error, OSError) and error.errno:
            raise  # the disk is full, no permission, ...
        raise ValueError(
            f'{archive}: cannot be unpacked ({error}): fetch it again, or unpack it '
            'yourself and give the folder'
        ) from error


def _find_pairs(
    layout: str, roots: Sequence[str], list_file: str | None
) -> tuple[Pairs, dict[str, str]]:
    """Pair images and masks; name the files without a partner."""
    image_folder, mask_folder = _locate(layout, roots)
    if layout == TEXTURES:
        found = list_stems(image_folder)
        images = {osp.basename(stem): path for stem, path in found.items()}
        if list_file:
            images = keep_listed(images, list_file, image_folder)
        return {k: (osp.join(image_folder, p), None) for k, p in images.items()}, {}
    images, masks = list_pair(image_folder, mask_folder)
    both = (stem for stem in images if stem in masks)
    return {
        stem: (osp.join(image_folder, images[stem]), osp.join(mask_folder, masks[stem]))
        for stem in both
    }, lonely(images, masks, image_folder, mask_folder)


def _locate(layout: str, roots: Sequence[str]) -> tuple[str, str | None]:
    """Find the folders of a set in any root, or in the only folder of a root."""
    missing = ''
    for root in roots:
        for _ in range(4):
            try:
                return find_folders(root, layout, need_masks=layout != TEXTURES)
            except FileNotFoundError as error:
                missing = missing or str(error)
            inner = [e for e in os.scandir(root) if not e.name.startswith(('.', '__'))]
            if len(inner) != 1 or not inner[0].is_dir():
                break
            root = inner[0].path
    raise FileNotFoundError(missing)


def _check_pairs(layout: str, pairs: Pairs) -> dict[str, str]:
    """Say which pairs are bad, and why."""
    check = partial(_problem, graded=layout == GRADED)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = zip(track(pairs, f'checking {layout}'), pool.map(check, pairs.values()))
        return {stem: problem for stem, problem in found if problem}


def _problem(pair: tuple[str, str | None], graded: bool) -> str:
    """What is wrong with an image and its mask; '' if nothing is."""
    image, mask = pair
    try:
        # MMSegmentation turns photographs as their EXIF data says.
        width, height = ImageOps.exif_transpose(open_image(image)).size
    except ValueError as error:
        return f'{image}: {error}'
    try:
        shape = (height, width)
        rows, columns = read_binary_mask(mask, graded=graded).shape if mask else shape
    except (OSError, ValueError) as error:
        return str(error)
    if (rows, columns) == shape:
        return ''
    return (
        f'{mask}: the mask is {columns} x {rows} pixels, its image {image} is '
        f'{width} x {height}'
    )


def _write_set(
    name: str,
    pairs: Pairs,
    parts: dict[str, list[str]],
    out: str,
    report: Callable[[str], None],
) -> None:
    """Write a set in one piece; 'folder' has a folder for each part, DUTS has lists."""
    layout = get_layout(name)
    target = out if name == 'folder' else osp.join(out, layout.homes[0])
    if layout.images not in (None, len(pairs)):
        report(f'{name}: {len(pairs)} images; the complete set has {layout.images}')
    votes = {mask for _, mask in pairs.values()} if name == GRADED else set()
    files = {}
    for part, stems in parts.items():
        folders = layout.pairs()[0]
        if name == 'folder':
            folders = f'{part}/images', f'{part}/masks'
        for stem in stems:
            for folder, path in zip(folders, pairs[stem]):
                if path is not None:
                    suffix = '.png' if path in votes else osp.splitext(path)[1]
                    files[f'{folder}/{stem}{suffix}'] = path
    if not (osp.isdir(target) and os.listdir(target)):
        _write_files(files, target, votes)
    elif not all(osp.exists(osp.join(target, *each.split('/'))) for each in files):
        raise ValueError(f'{target} holds other data: remove it, or name another --out')
    sizes = ', '.join(
        f'{len(stems)} {part or "pairs"}' for part, stems in parts.items()
    )
    report(f'{name} in {target}: {sizes}')
    if name == 'DUTS-TR':
        for part, stems in parts.items():
            atomic_write(osp.join(target, f'{part}.txt'), '\n'.join(stems) + '\n')


def _write_files(files: dict[str, str], target: str, votes: set[str | None]) -> None:
    """Write files to a folder beside the target, then rename it to the target."""
    parent, base = osp.split(osp.abspath(target))
    partly = osp.join(parent, f'.{base}.partial')
    shutil.rmtree(partly, ignore_errors=True)
    for relative, source in track(files.items(), f'writing {shown(target)}'):
        path = osp.join(partly, *relative.split('/'))
        os.makedirs(osp.dirname(path), exist_ok=True)
        if source in votes:
            mask = read_binary_mask(source, graded=True) * np.uint8(255)
            Image.fromarray(mask).save(path, 'PNG')
        else:
            shutil.copyfile(source, path)
    if osp.isdir(target):
        os.rmdir(target)
    os.rename(partly, target)
