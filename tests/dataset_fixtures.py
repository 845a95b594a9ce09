import shutil
import zipfile

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


@pytest.fixture(scope='session')
def pack():
    def pack(folder, archive):
        """Turn a folder into a zip file."""
        with zipfile.ZipFile(archive, 'w') as file:
            for path in sorted(folder.rglob('*')):
                file.write(path, path.relative_to(folder))
        shutil.rmtree(folder)

    return pack


@pytest.fixture
def duts(tmp_path, write_pairs, pack):
    """DUTS as it is downloaded: 20 pairs, n00 to n19, in each of two archives."""
    download = tmp_path / 'download'
    for part in ('TR', 'TE'):
        inner = f'DUTS-{part}/DUTS-{part}'
        names = [f'n{i:02d}' for i in range(20)]
        write_pairs(tmp_path / 'x', names, f'{inner}-Image', f'{inner}-Mask')
        download.mkdir(exist_ok=True)
        pack(tmp_path / 'x', download / f'DUTS-{part}.zip')
    return download
