"""The built-in data: a procedural salient-object set, written once and then read."""

import json
import os
import os.path as osp
import shutil
import tempfile
from contextlib import suppress
from typing import Any

from PIL import Image

from ..core.argument_checks import check_choice, check_integer
from .scenes import SPLITS, draw_split, wrong_masks

# Raise it whenever the images change: sets of another version are refused.
VERSION = 3
MANIFEST = 'manifest.json'
# Enough for validation and test that their own sampling error is small beside what
# is compared.
NUM_IMAGES = dict(zip(SPLITS, (40, 480, 600)))


def make_synthetic_sod(
    out: str,
    seed: int = 0,
    size: int = 64,
    num_images: dict[str, int] | None = None,
) -> None:
    """Write the synthetic salient-object set to ``{out}/{split}``, unless it is there.

    The splits ``train``, ``val`` and ``test`` hold scenes with one salient object. The
    outlines of all masks are off by a pixel or two, and a share of the training masks
    is grossly wrong, as in real annotations; the manifest lists these. Each image
    depends only on the seed, its split and its number.

    The set appears in one piece: a killed run leaves no partial set. If several runs
    write it at once, one wins.

    Raises:
        ValueError: ``out`` holds something else, or the set with other settings;
            or a setting is out of its range.
    """
    settings = check_settings(seed, size, num_images)
    out = osp.normpath(out)
    if osp.isdir(out) and os.listdir(out):
        _check_manifest(out, settings)
        return
    parent = osp.dirname(out) or '.'
    os.makedirs(parent, exist_ok=True)
    work = tempfile.mkdtemp(prefix=f'.{osp.basename(out)}-', dir=parent)
    try:
        _write(work, settings)
        os.chmod(work, 0o755)
        with suppress(OSError):  # another process may be faster
            os.rename(work, out)
        _check_manifest(out, settings)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_settings(
    seed: int, size: int, num_images: dict[str, int] | None
) -> dict[str, Any]:
    """Refuse settings that cannot make a set; return what the manifest says of them."""
    check_integer('seed', seed, at_least=0)
    check_integer('size', size, at_least=32)
    counts = {**NUM_IMAGES, **(num_images or {})}
    for split, count in counts.items():
        check_choice('a split of num_images', split, SPLITS)
        check_integer(f'num_images of {split}', count, at_least=1)
    return {'version': VERSION, 'seed': seed, 'size': size, 'num_images': counts}


def _write(folder: str, settings: dict[str, Any]) -> None:
    counts, seed = settings['num_images'], settings['seed']
    for split, number in counts.items():
        for kind in ('images', 'masks'):
            os.makedirs(osp.join(folder, split, kind))
        pairs = draw_split(split, number, settings['size'], seed)
        for index, (image, mask) in enumerate(pairs):
            for kind, array in (('images', image), ('masks', mask)):
                path = osp.join(folder, split, kind, f'{index:05d}.png')
                Image.fromarray(array).save(path, compress_level=1)
    wrong = [f'{index:05d}' for index in wrong_masks(counts['train'], seed)]
    with open(osp.join(folder, MANIFEST), 'w', encoding='utf-8') as file:
        json.dump({**settings, 'wrong_masks': wrong}, file, indent=2)


def _check_manifest(out: str, settings: dict[str, Any]) -> None:
    try:
        with open(osp.join(out, MANIFEST), encoding='utf-8') as file:
            manifest = json.load(file)
        found = {key: manifest[key] for key in settings}
    except (OSError, ValueError, KeyError, TypeError):
        found = f'no whole {MANIFEST}'
    if found != settings:
        raise ValueError(
            f'{out} holds a synthetic set with other settings, or other data: {found}, '
            f'wanted {settings}. Name another data_root, or remove the folder'
        )
