"""The built-in data: procedural scenes, the set of images, and maps of them."""

import colorsys
import json
import os
import os.path as osp
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import distance_transform_edt, gaussian_filter

from ..common.arguments import check_choice, check_integer
from .images import write_picture
from .prob_maps import write_prob_map

# 1.6 pixels at 64: what two people who outline the same object differ by.
OUTLINE_ERROR = 0.025
# Cells of the grid on which the displacement of an outline is drawn.
OUTLINE_CELLS = 10
# Of the training masks, see `wrong_masks`.
WRONG_SHARE = 0.08
# Of the built-in set, in the order that seeds their images.
SPLITS = ('train', 'val', 'test', 'empty')
# Sizes of the grids whose sum is cloud-like noise, and their weights.
OCTAVES = ((4, 1.0), (8, 0.6), (16, 0.35), (32, 0.2))


def draw_split(
    split: str, number: int, size: int, seed: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw a split of the built-in set, image by image."""
    wrong = wrong_masks(number, seed) if split == 'train' else []
    for index in range(number):
        rng = np.random.default_rng([seed, SPLITS.index(split), index])
        yield make_scene(rng, size, wrong_mask=index in wrong, empty=split == 'empty')


def wrong_masks(number: int, seed: int) -> list[int]:
    """Choose the training images whose masks are grossly wrong."""
    chooser = np.random.default_rng([seed, 4])  # beside those of the splits
    return sorted(chooser.permutation(number)[: round(WRONG_SHARE * number)].tolist())


def make_scene(
    rng: np.random.Generator,
    size: int,
    outline_error: float = OUTLINE_ERROR,
    wrong_mask: bool = False,
    empty: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw an image with a salient object and its mask, as an annotator draws it.

    Smaller things lie around the object, which sometimes differs only a little from the
    background, so it is not always certain which object is salient. ``outline_error``
    is by how much of ``size`` the outline of the mask is off. ``empty`` leaves the
    object out.
    """
    ground = colours(rng)
    image = paint(_texture(rng, size), ground)
    if rng.random() < 0.4:  # a second surface, such as ground and sky
        image = _over(image, _surface(rng, size), _horizon(rng, size))
    image = np.stack(
        [smooth(c, rng.uniform(0.3, 1.2)) for c in image.transpose(2, 0, 1)], -1
    )

    things = [_distractor(rng, size) for _ in range(int(rng.integers(0, 4)))]
    for thing in things:
        look = colours(rng, (0.05, 0.6), ground, rng.uniform(0, 0.8))
        image = _over(image, paint(_texture(rng, size), look), thing)
    if empty:
        return _expose(rng, image), np.zeros((size, size), np.uint8)

    radius = size * rng.uniform(0.17, 0.31)
    centre = np.clip(size * rng.normal(0.5, 0.12, 2), 0.28 * size, 0.72 * size)
    shape = blob(rng, size, centre, radius)
    camouflage = rng.uniform(0.5, 0.85) if rng.random() < 0.25 else 0
    look = colours(rng, (0.4, 0.95), ground, camouflage)
    soft = smooth(shape, rng.choice([0.4, 1.0, 2.5], p=[0.5, 0.3, 0.2]))
    shadow = smooth(np.roll(shape, (size // 24, size // 32), (0, 1)), size / 24)
    image = image * (1 - rng.uniform(0, 0.45) * shadow[..., None])
    image = _over(
        image, _shade(rng, paint(_texture(rng, size), look), centre, radius), soft
    )
    front = _distractor(rng, size)
    hidden = shape * (1 - front)
    if rng.random() < 0.3 and hidden.sum() > 0.7 * shape.sum():  # partly hidden
        cover = paint(_texture(rng, size), colours(rng, (0.05, 0.6)))
        image = _over(image, cover, front)
        shape = hidden

    image = _expose(rng, image)
    mask = shape > 0.5
    # The mask is drawn last: the image stays the same.
    if outline_error:
        mask = _trace(rng, mask, outline_error * size)
    if wrong_mask:
        mask = _spoil(rng, mask, things)
    return image, mask.astype(np.uint8) * 255


def _texture(rng, size):
    """A texture of any kind, with some cloudiness over it."""
    field = TEXTURES[rng.integers(len(TEXTURES))](rng, size)
    share = rng.uniform(0, 0.6)
    return (1 - share) * field + share * clouds(rng, size)


def _surface(rng, size):
    return paint(_texture(rng, size), colours(rng))


def _horizon(rng, size):
    """A wavy border between two surfaces."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    angle = rng.normal(0, 0.4)
    height = y * np.cos(angle) + x * np.sin(angle) - rng.uniform(0.3, 0.8)
    height += 0.15 * (clouds(rng, size) - 0.5)
    return np.clip(height * size / rng.uniform(1, 6) + 0.5, 0, 1)


def _distractor(rng, size):
    """A small thing anywhere, often cut by the border."""
    radius = size * rng.uniform(0.04, 0.13)
    shape = blob(rng, size, rng.uniform(0, size, 2), radius)
    return smooth(shape, rng.choice([0.4, 1.5]))


def _shade(rng, colour, centre, radius):
    """Light an object from one side, so that it looks round."""
    size = len(colour)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    side = ((x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)) / radius
    return colour * (1 + rng.uniform(0, 0.35) * np.clip(side, -1, 1))[..., None]


def _over(below, above, opacity):
    """Put one image over another: ``(H, W, 3)`` with opacity ``(H, W)``."""
    return below + opacity[..., None] * (above - below)


def _expose(rng, image):
    """Uneven light, gamma and sensor noise; float ``(H, W, 3)`` to uint8."""
    size = len(image)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, 0.7) * (x * np.cos(angle) + y * np.sin(angle))
    image = np.clip(image * light[..., None], 0, 1) ** rng.uniform(0.8, 1.25)
    image = image + rng.normal(0, rng.uniform(0.005, 0.035), image.shape)
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)


def _trace(rng, mask, error):
    """Displace the outline of a mask, smoothly along it, by ``error`` pixels."""
    size = len(mask)
    grid = rng.normal(0, error, (2, OUTLINE_CELLS, OUTLINE_CELLS)).astype(np.float32)
    dy, dx = (
        np.asarray(Image.fromarray(field).resize((size, size), Image.BICUBIC))
        for field in grid
    )
    y, x = np.mgrid[:size, :size]
    y = np.clip(np.rint(y + dy), 0, size - 1).astype(int)
    x = np.clip(np.rint(x + dx), 0, size - 1).astype(int)
    return mask[y, x]


def _spoil(rng, mask, things):
    kind = rng.integers(3)
    if kind == 0 and things:  # the wrong object
        return max(things, key=np.sum) > 0.5
    if kind == 1:  # half of the object
        y, x = np.nonzero(mask)
        half = mask.copy()
        if rng.random() < 0.5:
            half[: int(np.median(y))] = False
        else:
            half[:, : int(np.median(x))] = False
        return half

    room = len(mask) // 6
    shift = rng.choice([-1, 1], 2) * rng.uniform(0.5, 1, 2) * room
    moved = np.roll(np.pad(mask, room), tuple(shift.astype(int)), (0, 1))
    return moved[room:-room, room:-room]  # a shifted outline


def smooth(field: np.ndarray, radius: float) -> np.ndarray:
    """Blur a field with a Gaussian."""
    image = Image.fromarray(np.asarray(field, np.float32) * 255).convert('L')
    blurred = image.filter(ImageFilter.GaussianBlur(float(radius)))
    return np.asarray(blurred, np.float32) / 255


def clouds(
    rng: np.random.Generator,
    size: int,
    octaves: tuple[tuple[int, float], ...] = OCTAVES,
) -> np.ndarray:
    """Draw noise of several scales."""
    total = np.zeros((size, size), np.float32)
    for cells, weight in octaves:
        grid = Image.fromarray(rng.random((cells, cells), np.float32))
        total += weight * np.asarray(grid.resize((size, size), Image.BICUBIC))
    return _stretch(total)


def waves(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw bent stripes, or two crossing sets of them (weave, checks)."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    angle = rng.uniform(0, np.pi)
    frequency = rng.uniform(4, 16)
    bend = rng.uniform(0, 1.2) * clouds(rng, size, OCTAVES[:2])
    along = frequency * (x * np.cos(angle) + y * np.sin(angle)) + bend
    field = np.sin(2 * np.pi * along)
    if rng.random() < 0.5:
        across = frequency * (y * np.cos(angle) - x * np.sin(angle)) + bend
        field = field * np.sin(2 * np.pi * across)
    return _stretch(np.tanh(rng.uniform(0.5, 4) * field))


def cells(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw cells around random points: scales, pebbles, cracks."""
    count = int(rng.integers(12, 60))
    centres = rng.random((count, 2)).astype(np.float32)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    distance = (x[..., None] - centres[:, 0]) ** 2 + (y[..., None] - centres[:, 1]) ** 2
    nearest = np.partition(distance, 1, axis=-1)[..., :2]
    if rng.random() < 0.5:
        return _stretch(np.sqrt(nearest[..., 0]))
    return _stretch(
        np.minimum(np.sqrt(nearest[..., 1]) - np.sqrt(nearest[..., 0]), 0.1)
    )


def specks(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw spots and short strokes: grains, grass, fur."""
    canvas = Image.new('L', (size, size), int(rng.integers(60, 120)))
    draw = ImageDraw.Draw(canvas)
    angle = rng.uniform(0, np.pi)
    length = rng.uniform(0.01, 0.09) * size
    for _ in range(int(rng.integers(60, 260))):
        x, y = rng.uniform(0, size, 2)
        turn = angle + rng.normal(0, 0.3)
        dx = length * np.cos(turn)
        dy = length * np.sin(turn)
        draw.line((x, y, x + dx, y + dy), int(rng.integers(0, 256)), width=2)
    return smooth(np.asarray(canvas, np.float32) / 255, rng.uniform(0.3, 1))


TEXTURES = (clouds, waves, cells, specks)


def colours(
    rng: np.random.Generator,
    saturation: tuple[float, float] = (0.05, 0.4),
    like: np.ndarray | None = None,
    likeness: float = 0.0,
) -> np.ndarray:
    """Draw the two end colours of a texture."""
    strength = rng.uniform(*saturation)
    warm = strength > 0.5 and rng.random() < 0.7
    hue = rng.normal(0.05, 0.08) if warm else rng.random()
    base = np.array(colorsys.hsv_to_rgb(hue % 1, strength, rng.uniform(0.25, 0.95)))
    half = rng.normal(0, 0.04, 3) + rng.choice([-1, 1]) * rng.uniform(0.02, 0.15)
    if like is not None:
        base = likeness * like.mean(0) + (1 - likeness) * base
    return np.clip([base - half, base + half], 0, 1).astype(np.float32)


def paint(field: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Colour a texture."""
    return ends[0] + field[..., None] * (ends[1] - ends[0])


def blob(
    rng: np.random.Generator,
    size: int,
    centre: tuple[float, float] | np.ndarray,
    radius: float,
) -> np.ndarray:
    """Draw an object: a wavy or angular body, some with limbs, a few with a hole."""
    scale = 3  # drawn larger, so that edges are smooth
    canvas = Image.new('L', (size * scale, size * scale))
    draw = ImageDraw.Draw(canvas)
    middle = np.asarray(centre) * scale
    body = _outline(rng, radius * scale, angular=rng.random() < 0.25)
    stretch = rng.uniform(0.6, 1)
    turn = rng.uniform(0, np.pi)
    frame = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    place = frame @ np.diag([1 / stretch, stretch]) @ frame.T
    draw.polygon([tuple(p) for p in middle + body @ place.T], fill=255)
    for _ in range(int(rng.choice([0, 0, 2, 4]))):
        start = middle + rng.normal(0, 0.4, 2) * radius * scale
        step = rng.normal(0, 1, 2)
        step *= rng.uniform(1, 1.7) * radius * scale / np.linalg.norm(step)
        width = int(max(2, rng.uniform(0.15, 0.35) * radius * scale))
        end = middle + step
        draw.line((*start, *end), fill=255, width=width)
        draw.ellipse((*(end - width / 2), *(end + width / 2)), fill=255)

    if rng.random() < 0.1:
        hole = middle + rng.normal(0, 0.2, 2) * radius * scale
        half = rng.uniform(0.2, 0.35) * radius * scale
        draw.ellipse((*(hole - half), *(hole + half)), fill=0)

    return np.asarray(canvas.resize((size, size), Image.BOX), np.float32) / 255


def _outline(rng, radius, angular):
    """Points around the origin: ``(N, 2)``."""
    if angular:
        corners = int(rng.integers(4, 8))
        angles = (np.arange(corners) + rng.uniform(-0.3, 0.3, corners)) / corners
        angles = 2 * np.pi * angles + rng.uniform(0, 2 * np.pi)
        radii = radius * rng.uniform(0.8, 1.25, len(angles))
    else:
        angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        radii = np.ones(len(angles))
        for harmonic in range(2, 7):
            height = rng.normal(0, 0.35 / harmonic)
            radii += height * np.cos(harmonic * angles + rng.uniform(0, 2 * np.pi))
        radii = radius * np.clip(radii, 0.3, None)
    return radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], -1)


def _stretch(field):
    low = field.min()
    high = field.max()
    return ((field - low) / max(high - low, 1e-6)).astype(np.float32)


# Raise it whenever the images change: sets of another version are refused.
VERSION = 4
MANIFEST = 'manifest.json'
# Enough for a comparison that is larger than chance, in a demo of three minutes.
NUM_IMAGES = dict(zip(SPLITS, (36, 72, 120, 60)))


def make_synthetic_sod(
    out: str,
    seed: int = 0,
    size: int = 64,
    num_images: dict[str, int] | None = None,
) -> None:
    """Write the synthetic salient-object set to ``{out}/{split}``, unless it is there.

    The splits ``train``, ``val`` and ``test`` hold scenes with one salient object,
    ``empty`` scenes without. The outlines of all masks are off by a pixel or two, and a
    share of the training masks is grossly wrong, as in real annotations; the manifest
    lists these. Each image depends only on the seed, its split and its number.

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
    counts = settings['num_images']
    seed = settings['seed']
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


NUMBER = 80
SIZE = 96
# Noise of the network's outlines in pixels, and how much too sharp its logits are.
NOISE = 3.0
SHARPNESS = 2.5


def write_demo_maps(
    folder: Path, split: str, overwrite: bool = False
) -> tuple[Path, Path]:
    """Write maps and masks of a split, 'val' or 'test', as PNG.

    The logit of a pixel is its signed distance from the border plus smooth noise, times
    a factor: the network is over-confident near borders, as trained networks are.
    """
    maps = folder / split / 'maps'
    masks = folder / split / 'masks'
    names = [f'{k:03d}.png' for k in range(NUMBER)]

    noise = np.random.default_rng(len(split))
    for name, (_, mask) in zip(names, draw_split(split, NUMBER, SIZE)):
        inside = mask > 127
        distance = distance_transform_edt(inside) - distance_transform_edt(~inside)
        smooth = gaussian_filter(noise.normal(size=mask.shape), 4)
        logit = SHARPNESS * 0.5 * (distance + NOISE * smooth / smooth.std())
        write_prob_map(maps / name, 1 / (1 + np.exp(-logit)), overwrite=overwrite)
        pixels = inside.astype(np.uint8) * np.uint8(255)
        write_picture(masks / name, pixels, overwrite)
    return maps, masks
