"""Built-in maps: what an over-confident network would say of the built-in scenes."""

from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from ..core.outputs import check_output
from .images import write_picture
from .prob_maps import write_prob_map
from .scenes import draw_split

NUMBER = 80
SIZE = 96
# Noise of the network's outlines in pixels, and how much too sharp its logits are.
NOISE, SHARPNESS = 3.0, 2.5


def write_demo_maps(folder: Path, split: str) -> tuple[Path, Path]:
    """Write maps and masks of a split, 'val' or 'test', as PNG.

    The logit of a pixel is its signed distance from the border plus smooth noise, times
    a factor: the network is over-confident near borders, as trained networks are.
    """
    maps, masks = folder / split / 'maps', folder / split / 'masks'
    for place in (maps, masks):
        for k in range(NUMBER):  # before the first is written
            check_output(place / f'{k:03d}.png', 'picture')

    noise = np.random.default_rng(len(split))
    for k, (_, mask) in enumerate(draw_split(split, NUMBER, SIZE)):
        inside = mask > 127
        distance = distance_transform_edt(inside) - distance_transform_edt(~inside)
        smooth = gaussian_filter(noise.normal(size=mask.shape), 4)
        logit = SHARPNESS * 0.5 * (distance + NOISE * smooth / smooth.std())
        write_prob_map(maps / f'{k:03d}.png', 1 / (1 + np.exp(-logit)))
        pixels = inside.astype(np.uint8) * np.uint8(255)
        write_picture(masks / f'{k:03d}.png', pixels)
    return maps, masks
