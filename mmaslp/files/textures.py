"""Procedural textures and shapes for the synthetic set."""

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# Sizes of the grids whose sum is cloud-like noise, and their weights.
OCTAVES = ((4, 1.0), (8, 0.6), (16, 0.35), (32, 0.2))


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
    angle, frequency = rng.uniform(0, np.pi), rng.uniform(4, 16)
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
    angle, length = rng.uniform(0, np.pi), rng.uniform(0.01, 0.09) * size
    for _ in range(int(rng.integers(60, 260))):
        x, y = rng.uniform(0, size, 2)
        turn = angle + rng.normal(0, 0.3)
        dx, dy = length * np.cos(turn), length * np.sin(turn)
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
    """Scale a field to [0, 1], float32."""
    low, high = field.min(), field.max()
    return ((field - low) / max(high - low, 1e-6)).astype(np.float32)
