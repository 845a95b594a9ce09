"""Bring downloaded data into the layout that the configs read.

    python tools/prepare_dataset.py NAME --source PATH [PATH ...] --out PATH

The sources are the archives as they were downloaded (zip, tar.gz), or folders with
the unpacked data or with these archives. Every pair of image and mask is checked before
anything is written, and each set appears under ``--out`` in one piece. The sources are
never changed.
"""

import argparse
import os
import os.path as osp
import random
import shutil
import sys
from fnmatch import fnmatch

import numpy as np
from PIL import Image

from mmaslp.datasets import make_synthetic_sod
from mmaslp.datasets.archives import extract, is_archive
from mmaslp.datasets.checking import check_pairs, image_size
from mmaslp.datasets.layouts import find_folders, get_layout
from mmaslp.datasets.masks import read_binary_mask
from mmaslp.datasets.pairing import list_stems, read_list, select

SETS = {
    'duts': ('DUTS-TR', 'DUTS-TE'),
    'duts-tr': ('DUTS-TR',),
    'duts-te': ('DUTS-TE',),
    'dut-omron': ('DUT-OMRON',),
    'pascal-s': ('PASCAL-S',),
    'sod': ('SOD',),
    'ecssd': ('ECSSD',),
    'hku-is': ('HKU-IS',),
    'dtd-500': ('DTD-500',),
    'folder': ('folder',),
}
# Sets whose masks are written anew: made from nothing, or from votes.
REWRITTEN = ('DTD-500', 'PASCAL-S')
MAX_SHOWN = 100
DUTS_VAL_RATIO = 1000 / 10553  # that of the published split
FOLDER_VAL_RATIO = 0.1


def parse_args(argv=None):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('name', choices=[*SETS, 'synthetic'], help='the data set')
    parser.add_argument(
        '--source', nargs='+', default=[], help='archives or folders as downloaded'
    )
    parser.add_argument(
        '--out',
        default='data',
        help='the folder of all sets, which the configs call data_root (folder: the '
        'folder of this set). Default: data',
    )
    parser.add_argument(
        '--list', help='dtd-500: list file of the textures to take, one name per line'
    )
    split = parser.add_mutually_exclusive_group()
    split.add_argument(
        '--val-list', help='duts, folder: list file of the validation images'
    )
    split.add_argument(
        '--val-ratio', type=float, help='duts, folder: share of validation images'
    )
    parser.add_argument(
        '--test-ratio', type=float, default=0.2, help='folder: share of test images'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the random split')
    how = parser.add_mutually_exclusive_group()
    how.add_argument('--copy', action='store_true', help='copy the files (default)')
    how.add_argument('--symlink', action='store_true', help='link to the source files')
    parser.add_argument(
        '--skip-bad',
        action='store_true',
        help='leave out bad pairs instead of stopping',
    )
    return parser.parse_args(argv)


def prepare(args):
    """Prepare one data set.

    Args:
        args (argparse.Namespace): What :func:`parse_args` returns.

    Raises:
        FileNotFoundError: The data is not there; says where was looked.
        ValueError: The data is not as it should be; lists every problem.
    """
    if args.name == 'synthetic':
        out = osp.join(args.out, 'synthetic_sod')
        make_synthetic_sod(out, args.seed, progress=lambda split: print(f'{split} ...'))
        print(f'synthetic set, seed {args.seed}, in {out}')
        return
    _check_args(args)
    parent, base = osp.split(osp.abspath(args.out))
    staging = osp.join(parent, f'.{base}.{args.name}.unpacked')
    shutil.rmtree(staging, ignore_errors=True)
    try:
        _prepare_sets(args, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_args(args):
    """Refuse arguments that make no sense before anything is unpacked."""
    if not args.source:
        fetch = '; '.join(get_layout(name).fetch for name in SETS[args.name])
        raise ValueError(f'--source is needed: {fetch}')
    for path in args.source:
        if not osp.exists(path):
            raise FileNotFoundError(f'--source {osp.abspath(path)} does not exist')
    ratios = [args.val_ratio or 0, args.test_ratio if args.name == 'folder' else 0]
    if min(ratios) < 0 or sum(ratios) >= 1:
        raise ValueError(
            '--val-ratio and --test-ratio must not be negative and leave something to '
            f'train on, not {args.val_ratio} and {args.test_ratio}'
        )


def _prepare_sets(args, staging):
    """Find and check all sets of a name, then write them."""
    roots = [_unpack(path, staging, SETS[args.name]) for path in args.source]
    found, missing, problems = {}, [], []
    for name in SETS[args.name]:
        try:
            pairs, bad = _find_pairs(name, list(dict.fromkeys(roots)), args)
        except FileNotFoundError as error:
            missing.append(str(error))
            continue
        print(f'{name}: checking {len(pairs)} images')
        bad.update(_check(name, pairs))
        problems += bad.values()
        found[name] = {key: pair for key, pair in pairs.items() if key not in bad}, bad
    if not found:
        raise FileNotFoundError('\n'.join(missing))
    shown = problems[:MAX_SHOWN]
    if len(problems) > MAX_SHOWN:
        shown.append(f'... and {len(problems) - MAX_SHOWN} more')
    if problems and not args.skip_bad:
        raise ValueError(
            f'{len(problems)} problems, nothing was written (--skip-bad leaves these '
            'files out):\n' + '\n'.join(shown)
        )
    for problem in shown:
        print(f'left out: {problem}')
    for message in missing:
        print(f'not prepared: {message}')
    for name, (pairs, bad) in found.items():
        _write_set(name, pairs, bad, args, staging)


def _unpack(path, staging, names):
    """Unpack archives, unless the folder holds the data already; return the root."""
    if osp.isfile(path):
        if not is_archive(path):
            raise ValueError(
                f'{path}: not an archive that can be unpacked here (zip, tar.gz). '
                'Unpack it yourself and give the folder'
            )
        archives = [path]
    else:
        patterns = [p for name in names for p in get_layout(name).archives]
        archives = [
            osp.join(path, entry)
            for entry in sorted(os.listdir(path))
            if is_archive(entry) and any(fnmatch(entry.lower(), p) for p in patterns)
        ]
        if not archives or any(_locate(name, [path]) for name in names):
            return path
    for archive in archives:
        print(f'unpacking {archive}')
        extract(archive, staging)
    return staging


def _locate(name, roots):
    """Find the folders of a set in any root, or in the only folder of a root."""
    need_masks = name != 'DTD-500'
    for root in roots:
        for _ in range(4):
            try:
                return find_folders(root, name, need_masks=need_masks)
            except FileNotFoundError:
                inner = [e for e in os.scandir(root) if not e.name.startswith('.')]
                if len(inner) != 1 or not inner[0].is_dir():
                    break
                root = inner[0].path
    return None


def _find_pairs(name, roots, args):
    """Pair the images and masks of a set.

    Returns:
        tuple[dict, dict]: From name to (image, mask or None), and from name to problem
        for files without partner.
    """
    folders = _locate(name, roots)
    if folders is None and name == 'folder':
        _refuse_splits(roots)
    if folders is None:  # then this says where was looked and what to fetch
        folders = find_folders(roots[0], name, need_masks=name != 'DTD-500')
    image_folder, mask_folder = folders
    together = image_folder == mask_folder
    images = list_stems(image_folder, ('.jpg', '.jpeg', '.bmp') if together else None)
    if name == 'DTD-500':
        images = _choose_textures(images, image_folder, args.list)
        pairs = {stem: (osp.join(image_folder, images[stem]), None) for stem in images}
        return pairs, {}
    masks = list_stems(mask_folder, '.png' if together else None)
    lonely = {
        stem: f'{osp.join(image_folder, images[stem])}: has no mask in {mask_folder}'
        for stem in images
        if stem not in masks
    }
    spare = {
        stem: f'{osp.join(mask_folder, masks[stem])}: has no image in {image_folder}'
        for stem in masks
        if stem not in images
    }
    pairs = {
        stem: (osp.join(image_folder, path), osp.join(mask_folder, masks[stem]))
        for stem, path in images.items()
        if stem in masks
    }
    return pairs, {**lonely, **spare}


def _refuse_splits(roots):
    """Stop at a set that is divided already."""
    for root in roots:
        try:
            find_folders(root, split='train')
        except FileNotFoundError:
            continue
        raise ValueError(
            f'{root} is split already: use it as data_root, with split="train"'
        )


def _choose_textures(images, folder, list_file):
    """Take the listed textures out of the folders of their classes."""
    flat = {}
    for stem, path in images.items():
        if flat.setdefault(osp.basename(stem), path) != path:
            raise ValueError(f'{folder}: {flat[osp.basename(stem)]} and {path} clash')
    if list_file:
        return select(flat, read_list(list_file), list_file, folder)
    if len(flat) > get_layout('DTD-500').images:
        raise ValueError(
            f'{folder} holds {len(flat)} images: name the 500 to take with --list (the '
            'authors of the paper publish theirs beside their code)'
        )
    return flat


def _check(name, pairs):
    """Check all pairs of a set: {name: problem}."""
    if name == 'DTD-500':
        bad = {}
        for stem, (image, _) in pairs.items():
            try:
                image_size(image)
            except ValueError as error:
                bad[stem] = str(error)
        return bad

    def progress(done, total):
        print(f'{name}: {done} of {total} checked', flush=True)

    return check_pairs(pairs, graded=get_layout(name).graded, progress=progress)


def _write_set(name, pairs, bad, args, staging):
    """Write a set and its split."""
    if name == 'folder':
        parts = _split(pairs, bad, args, FOLDER_VAL_RATIO, args.test_ratio)
        target, folders = args.out, {s: (f'{s}/images', f'{s}/masks') for s in parts}
    else:
        layout = get_layout(name)
        parts = {'': list(pairs)}
        target, folders = osp.join(args.out, layout.homes[0]), {'': layout.pairs()[0]}
        if len(pairs) != layout.images:
            print(f'{name}: {len(pairs)} images; the complete set has {layout.images}')
    files = {}
    for part, stems in parts.items():
        for stem in stems:
            image, mask = pairs[stem]
            suffix = '.png' if name in REWRITTEN else osp.splitext(mask)[1]
            files[f'{folders[part][1]}/{stem}{suffix}'] = (name, image, mask)
            files[f'{folders[part][0]}/{stem}{osp.splitext(image)[1]}'] = image
    if name == 'DUTS-TR':  # before anything is written: the list may be wrong
        lists = _split(pairs, bad, args, DUTS_VAL_RATIO)
    if not _holds(target, pairs):
        _write_files(files, target, args.symlink, staging)
    print(f'{name}: {len(pairs)} pairs in {target}')
    if name == 'DUTS-TR':
        for part, stems in lists.items():
            _write_text(osp.join(target, f'{part}.txt'), '\n'.join(stems) + '\n')
        source = args.val_list or f'at random, seed {args.seed}'
        sizes = ', '.join(f'{len(stems)} {part}' for part, stems in lists.items())
        print(f'{name}: split into {sizes} ({source})')


def _holds(target, pairs):
    """Whether the source lies in the target already."""
    image = osp.realpath(next(iter(pairs.values()))[0])
    return image.startswith(osp.realpath(target) + os.sep)


def _split(stems, bad, args, default_ratio, test_ratio=0.0):
    """Divide names into train, val and test: by list for val, the rest by seed."""
    stems = sorted(stems)
    shuffled = random.Random(args.seed).sample(stems, len(stems))
    if args.val_list:
        listed = read_list(args.val_list)
        known = dict.fromkeys([*stems, *bad])
        listed = select(known, listed, args.val_list, 'the source')
        val = [stem for stem in shuffled if stem in listed]
        rest = [stem for stem in shuffled if stem not in listed]
    else:
        ratio = default_ratio if args.val_ratio is None else args.val_ratio
        count = round(ratio * len(stems))
        val, rest = shuffled[:count], shuffled[count:]
    count = round(test_ratio * len(stems))
    parts = {'train': rest[count:], 'val': val, 'test': rest[:count]}
    if not parts['train']:
        raise ValueError('the split leaves no image to train on')
    return {part: sorted(names) for part, names in parts.items() if names}


def _write_files(files, target, symlink, staging):
    """Write files in a folder beside the target, which then takes its name."""
    if osp.isdir(target) and os.listdir(target):
        if set(files) - _files_below(target):
            raise ValueError(
                f'{target} holds other data. Remove it, or name another --out'
            )
        print(f'{target}: already there')
        return
    parent, base = osp.split(osp.abspath(target))
    partial = osp.join(parent, f'.{base}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    for number, (relative, source) in enumerate(files.items(), 1):
        path = osp.join(partial, *relative.split('/'))
        os.makedirs(osp.dirname(path), exist_ok=True)
        _write_file(path, source, symlink, staging)
        if number % 5000 == 0:
            print(f'{target}: {number} of {len(files)} files written', flush=True)
    os.rename(partial, target)


def _write_file(path, source, symlink, staging):
    """Write an image, or the mask that a (set, image, mask) describes."""
    if isinstance(source, tuple):
        name, image, source = source
        if name == 'DTD-500':
            width, height = image_size(image)
            Image.fromarray(np.zeros((height, width), np.uint8)).save(path)
            return
        if name == 'PASCAL-S':  # the first release has votes instead of 0 and 255
            mask = read_binary_mask(source, graded=True)
            Image.fromarray(mask * np.uint8(255)).save(path)
            return
    if osp.abspath(source).startswith(osp.abspath(staging) + os.sep):
        os.replace(source, path)  # unpacked by us
    elif symlink:
        os.symlink(osp.abspath(source), path)
    else:
        shutil.copyfile(source, path)


def _files_below(folder):
    """Relative names of the files of a folder."""
    return {
        osp.relpath(osp.join(place, name), folder).replace(os.sep, '/')
        for place, _, names in os.walk(folder)
        for name in names
    }


def _write_text(path, text):
    """Write a text file in one piece."""
    with open(f'{path}.partial', 'w', encoding='utf-8') as file:
        file.write(text)
    os.replace(f'{path}.partial', path)


def main(argv=None):
    """Run the tool; problems are messages, not tracebacks."""
    try:
        prepare(parse_args(argv))
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
