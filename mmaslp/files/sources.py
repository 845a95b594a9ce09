"""Downloaded data on the disk: archives, folders, pairs of files."""

import os
import os.path as osp
from collections.abc import Callable, Sequence
from fnmatch import fnmatch

from .archives import extract, is_archive
from .layouts import find_folders, get_layout
from .pairing import list_stems, read_list, select, tell_apart

__all__ = ['TEXTURES', 'Pairs', 'find_pairs', 'open_source']

# The only set without masks: textures, chosen by a list.
TEXTURES = 'DTD-500'
# From name to image file and mask file; None without a mask.
Pairs = dict[str, tuple[str, str | None]]


def open_source(
    path: str, staging: str, names: Sequence[str], report: Callable[[str], None]
) -> str:
    """Unpack archives, unless the folder already holds the data.

    Args:
        path (str): An archive, a folder of archives, or a folder of data.
        staging (str): Folder to unpack to.
        names (Sequence[str]): The layouts to look for.
        report (Callable[[str], None]): Receives a line about each archive.

    Returns:
        str: The folder of the data, ``path`` or ``staging``.

    Raises:
        ValueError: A file is not an archive, or cannot be unpacked.
    """
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
        report(f'unpacking {archive}')
        extract(archive, staging)
    return staging


def find_pairs(
    name: str, roots: Sequence[str], list_file: str | None = None
) -> tuple[Pairs, dict[str, str]]:
    """Pair the images and masks of a set.

    Args:
        name (str): A layout.
        roots (Sequence[str]): Folders to look in.
        list_file (str, optional): For textures: which ones to take. Defaults to None.

    Returns:
        tuple[Pairs, dict[str, str]]: The pairs, and from name to problem for files
        without partner.

    Raises:
        FileNotFoundError: The set is in none of the folders; says where it looked.
        ValueError: The set is already split, or the list does not fit.
    """
    folders = _locate(name, roots)
    if folders is None and name == 'folder':
        _refuse_splits(roots)
    if folders is None:  # then this says where it looked and what to fetch
        folders = find_folders(roots[0], name, need_masks=name != TEXTURES)
    image_folder, mask_folder = folders
    image_suffix, mask_suffix = tell_apart(image_folder, mask_folder)
    images = list_stems(image_folder, image_suffix)
    if name == TEXTURES:
        images = _choose_textures(images, image_folder, list_file)
        return {k: (osp.join(image_folder, p), None) for k, p in images.items()}, {}
    masks = list_stems(mask_folder, mask_suffix)
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


def _locate(name: str, roots: Sequence[str]) -> tuple[str, str | None] | None:
    """Find the folders of a set in any root, or in the only folder of a root."""
    for root in roots:
        for _ in range(4):
            try:
                return find_folders(root, name, need_masks=name != TEXTURES)
            except FileNotFoundError:
                inner = [e for e in os.scandir(root) if not e.name.startswith('.')]
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
