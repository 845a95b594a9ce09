import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope='session')
def write_image():
    def write(path, size=(20, 14), seed=0):
        """Write a colour image; size is (width, height)."""
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3))
        Image.fromarray(pixels.astype(np.uint8)).save(path)

    return write


@pytest.fixture(scope='session')
def write_mask():
    def write(path, size=(20, 14), level=255):
        """Write a mask whose left half is foreground."""
        path.parent.mkdir(parents=True, exist_ok=True)
        mask = np.zeros(size[::-1], np.uint8)
        mask[:, : size[0] // 2] = level
        Image.fromarray(mask).save(path)

    return write


@pytest.fixture(scope='session')
def write_pairs(write_image, write_mask):
    def write(root, names, images='images', masks='masks', level=255):
        """Write pairs of image (.jpg) and mask (.png)."""
        for seed, name in enumerate(names):
            write_image(root / images / f'{name}.jpg', seed=seed)
            write_mask(root / masks / f'{name}.png', level=level)

    return write
