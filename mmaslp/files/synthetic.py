"""The built-in data: a procedural salient-object set, written once and then read."""

import json
import os
import os.path as osp
import shutil
import tempfile
from typing import Any

from PIL import Image

from ..core.argument_checks import check_choice, check_integer, check_number
from .scenes import OUTLINE_ERROR, SPLITS, WRONG_SHARE, draw_split, wrong_masks

# Raise it whenever the images change: sets of another version are refused.
VERSION = 2
MANIFEST = 'manifest.json'
# Enough for validation and test that their own sampling error is small beside what
# is compared.
NUM_IMAGES = dict(zip(SPLITS, (60, 240, 300, 60)))


def make_synthetic_sod(
    out: str,
    seed: int = 0,
    size: int = 64,
    num_images: dict[str, int] | None = None,
    wrong_share: float = WRONG_SHARE,
    outline_error: float = OUTLINE_ERROR,
) -> dict[str, Any]:
    """Write the synthetic salient-object set, unless it already exists.

    The splits ``train``, ``val`` and ``test`` hold scenes with one salient
    object, ``ood`` holds textures with empty masks. The outlines of all masks are off
    by a pixel or two, and a share of the training masks is grossly wrong, as in real
    annotations; the manifest lists the latter. Each image depends
    only on the seed, its split and its number.

    The set appears in one piece: it is written beside ``out`` and then renamed. A
    killed run leaves no partial set. If several runs write it at once, one wins.

    Args:
        out (str): The folder to write, as ``{out}/{split}/images`` and ``masks``.
        seed (int): Seed of all randomness. Defaults to 0.
        size (int): Height and width in pixels, >= 32. Defaults to 64.
        num_images (dict[str, int], optional): Images of each split. Defaults to None,
            ``NUM_IMAGES``; other splits keep their default.
        wrong_share (float): Share of wrong masks in ``train``. Defaults to
            ``WRONG_SHARE``.
        outline_error (float): How far outlines of all masks are off, in units of the
            size (see :func:`~mmaslp.files.scenes.make_scene`); 0 gives exact masks.
            Defaults to ``OUTLINE_ERROR``.

    Returns:
        dict: The manifest: ``seed``, ``size``, ``num_images``, ``wrong_share``,
        ``outline_error``, ``version`` and ``wrong_masks``, the names of the wrong
        masks in ``train``.

    Raises:
        ValueError: ``out`` holds something else, or the set with other settings;
            or a setting is out of its range.
    """
    counts = {**NUM_IMAGES, **(num_images or {})}
    settings = {
        'version': VERSION,
        'seed': seed,
        'size': size,
        'num_images': counts,
        'wrong_share': wrong_share,
        'outline_error': outline_error,
    }
    check_settings(settings)
    out = osp.normpath(out)
    if osp.isdir(out) and os.listdir(out):
        return _read_manifest(out, settings)
    parent = osp.dirname(out) or '.'
    os.makedirs(parent, exist_ok=True)
    work = tempfile.mkdtemp(prefix=f'.{osp.basename(out)}-', dir=parent)
    try:
        manifest = {**settings, 'wrong_masks': _write(work, settings)}
        with open(osp.join(work, MANIFEST), 'w', encoding='utf-8') as file:
            json.dump(manifest, file, indent=2)
        os.chmod(work, 0o755)
        try:
            os.rename(work, out)
        except OSError:  # another process was faster
            return _read_manifest(out, settings)
        return manifest
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_settings(settings):
    """Refuse settings that cannot make a set."""
    check_integer('seed', settings['seed'], at_least=0)
    check_integer('size', settings['size'], at_least=32)
    check_number('wrong_share', settings['wrong_share'], at_least=0, at_most=1)
    check_number('outline_error', settings['outline_error'], at_least=0, at_most=0.25)
    for split, count in settings['num_images'].items():
        check_choice('a split of num_images', split, tuple(NUM_IMAGES))
        check_integer(f'num_images of {split}', count, at_least=1)


def _write(folder, settings):
    """Write all splits; return the names of the wrong masks."""
    drawing = {
        key: settings[key] for key in ('size', 'seed', 'wrong_share', 'outline_error')
    }
    for split in SPLITS:
        number = settings['num_images'][split]
        for kind in ('images', 'masks'):
            os.makedirs(osp.join(folder, split, kind))
        pairs = draw_split(split, number, **drawing)
        for index, (image, mask) in enumerate(pairs):
            for kind, array in (('images', image), ('masks', mask)):
                path = osp.join(folder, split, kind, f'{index:05d}.png')
                Image.fromarray(array).save(path, compress_level=1)
    wrong = wrong_masks(
        settings['num_images']['train'], settings['seed'], settings['wrong_share']
    )
    return [f'{index:05d}' for index in wrong]


def _read_manifest(out, settings):
    """Read the manifest of a set; it must have these settings."""
    path = osp.join(out, MANIFEST)
    try:
        with open(path, encoding='utf-8') as file:
            manifest = json.load(file)
        found = {key: manifest[key] for key in settings}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{out} is not empty and not a synthetic set ({MANIFEST} is missing or '
            'broken). Name another data_root, or remove the folder'
        ) from error
    if found != settings:
        raise ValueError(
            f'{out} holds a synthetic set with other settings: {found}, wanted '
            f'{settings}. Name another data_root, or remove the folder'
        )
    return manifest
