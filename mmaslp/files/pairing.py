"""Which image belongs to which mask, by name."""

import os
import os.path as osp
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from .images import IMAGE_SUFFIXES

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
        (each,) if each else IMAGE_SUFFIXES for each in (image_suffix, mask_suffix)
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


def lonely(
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
