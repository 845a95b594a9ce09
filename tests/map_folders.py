"""A folder of maps and one of masks, and the command that measures them."""

from functools import partial

import numpy as np
from PIL import Image

from mmaslp.commands import run_command
from mmaslp.files.prob_maps import MapReader, write_prob_map
from mmaslp.metrics import CalibrationHistogram

main = partial(run_command, 'eval-maps')
SIZE = (12, 10)


def pair(seed, size=SIZE):
    """A probability map and a mask with a clear object."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(size, np.uint8)
    mask[2:8, 2:7] = 1
    prob = 1 / (1 + np.exp(-3 * (mask - 0.5) + 1.5 * rng.normal(size=size)))
    return prob, mask


def save(path, values):
    Image.fromarray(values).save(path)


class Folders:
    """Three good maps and masks; tests spoil one."""

    def __init__(self, root):
        self.pred, self.gt = root / 'pred', root / 'gt'
        self.pred.mkdir()
        self.gt.mkdir()
        for i in range(3):
            prob, mask = pair(i)
            write_prob_map(self.pred / f'{i}.png', prob, bits=8)
            save(self.gt / f'{i}.png', mask * 255)

    def run(self, *options):
        return main([str(self.pred), str(self.gt), *map(str, options)])

    def histogram(self):
        histogram = CalibrationHistogram()
        for path in sorted(self.pred.iterdir()):
            mask = np.asarray(Image.open(self.gt / f'{path.stem}.png')) > 127
            histogram.update(MapReader().read(path), mask)
        return histogram


def write_set(root, number, size=24, seed=0):
    """Folders of over-confident maps, and of masks of one object each."""
    rng = np.random.default_rng(seed)
    maps, masks = root / 'maps', root / 'masks'
    for folder in (maps, masks):
        folder.mkdir(parents=True)
    for k in range(number):
        rows, columns = np.indices((size, size)) - rng.uniform(6, size - 6, (2, 1, 1))
        logit = 3 - 0.6 * np.hypot(rows, columns) + rng.normal(0, 0.3, (size, size))
        label = rng.random((size, size)) < 1 / (1 + np.exp(-logit))
        write_prob_map(maps / f'{k:03d}.png', 1 / (1 + np.exp(-2.5 * logit)))
        save(masks / f'{k:03d}.png', label.astype(np.uint8) * 255)
    return maps, masks
