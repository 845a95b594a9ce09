"""Which image belongs to which mask, by name."""

import os
import os.path as osp
from collections.abc import Collection, Mapping, Sequence

from .images import IMAGE_SUFFIXES

SHOWN = 5


def tell_apart(
    image_folder: str,
    mask_folder: str | None,
    image_suffix: str | tuple[str, ...] | None = None,
    mask_suffix: str | None = None,
) -> tuple[str | tuple[str, ...] | None, str | None]:
    """Choose the suffixes that distinguish images from masks.

    If both lie in one folder, photographs are .jpg, .jpeg or .bmp and masks .png.
    """
    if image_folder == mask_folder:
        return image_suffix or ('.jpg', '.jpeg', '.bmp'), mask_suffix or '.png'
    return image_suffix, mask_suffix


def list_stems(
    folder: str,
    suffix: str | tuple[str, ...] | None = None,
) -> dict[str, str]:
    """List the images of a folder and its sub-folders."""
    if not osp.isdir(folder):
        raise FileNotFoundError(f'no such folder: {osp.abspath(folder)}')
    suffixes = (suffix,) if isinstance(suffix, str) else suffix or IMAGE_SUFFIXES
    found: dict[str, str] = {}
    twice = []
    names = (
        osp.relpath(osp.join(place, name), folder).replace(os.sep, '/')
        for place, _, entries in os.walk(folder, followlinks=True)
        for name in entries
        if not name.startswith('.')
    )
    for name in sorted(names):
        stem = strip_suffix(name, suffixes)
        if stem is None:
            continue
        if stem in found:
            twice.append(f'{found[stem]} and {name}')
        found[stem] = name
    if twice:
        raise ValueError(
            f'{folder}: names that differ by their suffix only: {shorten(twice)}. '
            'Remove one of each, or set the suffix'
        )
    if not found:
        raise ValueError(f'{folder}: holds no image ({" ".join(suffixes)})')
    return dict(sorted(found.items()))


def strip_suffix(name: str, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> str | None:
    """Cut the first of some suffixes that a name ends with, without case."""
    for suffix in suffixes:
        if name.lower().endswith(suffix.lower()):
            return name[: len(name) - len(suffix)]
    return None


def read_list(
    path: str,
    suffixes: tuple[str, ...] = IMAGE_SUFFIXES,
) -> list[str]:
    """Read a list file with one image name per line.

    Names may have a suffix, lines may end in CRLF, and blank lines do not count.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'no such list file: {osp.abspath(path)}')
    try:
        with open(path, encoding='utf-8-sig') as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: not a text file ({error})') from error
    names = [line.strip() for line in text.splitlines() if line.strip()]
    stems = [strip_suffix(name, suffixes) or name for name in names]
    if not stems:
        raise ValueError(f'{path}: the list is empty')
    if len(set(stems)) < len(stems):
        seen: set[str] = set()
        twice = [stem for stem in stems if stem in seen or seen.add(stem)]
        raise ValueError(f'{path}: names listed twice: {shorten(twice)}')
    return stems


def select(
    images: Mapping[str, str], stems: Sequence[str], list_name: str, folder: str
) -> dict[str, str]:
    """Keep the images that a list names."""
    missing = [stem for stem in stems if stem not in images]
    if missing:
        raise ValueError(
            f'{list_name}: {len(missing)} of {len(stems)} listed images are not in '
            f'{folder}: {shorten(missing)}'
        )
    return {stem: images[stem] for stem in sorted(stems)}


def check_partners(
    images: Collection[str],
    masks: Collection[str],
    image_folder: str,
    mask_folder: str,
    strict: bool = True,
) -> None:
    """Check that every image has a mask, and every mask an image."""
    lonely = sorted(set(images) - set(masks))
    spare = sorted(set(masks) - set(images)) if strict else []
    problems = []
    if lonely:
        problems.append(
            f'{len(lonely)} of {len(images)} images in {image_folder} have no '
            f'mask in {mask_folder}: {shorten(lonely)}'
        )
    if spare:
        problems.append(
            f'{len(spare)} of {len(masks)} masks in {mask_folder} have no '
            f'image in {image_folder}: {shorten(spare)}'
        )
    if problems:
        raise ValueError('; '.join(problems))


def shorten(names: Sequence[str]) -> str:
    """Join the first few names."""
    more = f', ... ({len(names) - SHOWN} more)' if len(names) > SHOWN else ''
    return ', '.join(names[:SHOWN]) + more
