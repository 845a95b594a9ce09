"""Make the images of the demo from BBBC038, the nuclei of the 2018 Data Science Bowl.

    python docs/make_nuclei.py FOLDER

``FOLDER`` holds ``{split}/images/*.jpg`` and ``{split}/masks/*.png`` of stage 1, with
the masks of all nuclei of an image in one file. Every image becomes one crop of
256 pixels in ``mmaslp/files/nuclei``. Each kind of image is in every split, and no
image is in two. ``empty`` holds windows without a nucleus, of images that are left.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).resolve().parents[1] / 'mmaslp' / 'files' / 'nuclei'
SIZE = 256
EMPTY_SIZE = 96
# Images of each kind, by split.
NUMBERS = {
    'train': {'stained': 16, 'fluorescent': 16, 'smear': 4},
    'val': {'stained': 20, 'fluorescent': 16, 'smear': 3},
    'test': {'stained': 32, 'fluorescent': 28, 'smear': 5},
}
EMPTY = {'stained': 14, 'fluorescent': 12, 'smear': 4}
# Darker images are fluorescent; of the others, stained tissue has colours.
DARK = 110
COLOURED = 10


def kind_of(image):
    """Tell how an image was made by its colours."""
    pixels = np.asarray(image, float)
    if pixels.mean() < DARK:
        return 'fluorescent'
    coloured = np.ptp(pixels, axis=-1).mean() > COLOURED
    return 'stained' if coloured or image.height < SIZE + 1 else 'smear'


def read_all(folder):
    """Names, images and masks by kind, in an order that a seed decides."""
    paths = sorted(folder.glob('*/images/*.jpg'), key=lambda path: path.stem)
    order = np.random.default_rng(0).permutation(len(paths))
    found = {}

    for path in (paths[k] for k in order):
        image = Image.open(path).convert('RGB')
        mask = Image.open(path.parents[1] / 'masks' / f'{path.stem}.png').convert('1')
        if min(image.size) >= SIZE:
            found.setdefault(kind_of(image), []).append((path.stem[:6], image, mask))
    return found


def crop(rng, image, mask):
    """Crop at a random place."""
    left, top = (int(rng.integers(0, side - SIZE + 1)) for side in image.size)
    box = (left, top, left + SIZE, top + SIZE)
    return image.crop(box), mask.crop(box)


def empty_window(rng, image, mask):
    """Find a window without a nucleus; None if a hundred tries hit one."""
    for _ in range(100):
        left, top = (int(rng.integers(0, s - EMPTY_SIZE + 1)) for s in image.size)
        box = (left, top, left + EMPTY_SIZE, top + EMPTY_SIZE)
        if not np.asarray(mask.crop(box)).any():
            return image.crop(box), mask.crop(box)
    return None


def save(split, name, image, mask):
    """Write an image, and its mask with one bit a pixel."""
    for kind in ('images', 'masks'):
        (OUT / split / kind).mkdir(parents=True, exist_ok=True)
    if name.startswith('fluorescent'):
        image = image.convert('L')
    image.save(OUT / split / 'images' / f'{name}.jpg', quality=80, optimize=True)
    mask.save(OUT / split / 'masks' / f'{name}.png', optimize=True)


def main(folder):
    """Write all splits."""
    for split in (*NUMBERS, 'empty'):
        shutil.rmtree(OUT / split, ignore_errors=True)
    rng = np.random.default_rng(1)
    images = read_all(Path(folder))

    for split, numbers in NUMBERS.items():
        for kind, number in numbers.items():
            for _ in range(number):
                name, image, mask = images[kind].pop()
                save(split, f'{kind}_{name}', *crop(rng, image, mask))

    for kind, number in EMPTY.items():
        for _ in range(number):
            window = None
            while window is None:
                name, image, mask = images[kind].pop()
                window = empty_window(rng, image, mask)
            save('empty', f'{kind}_{name}', *window)


if __name__ == '__main__':
    main(sys.argv[1])
