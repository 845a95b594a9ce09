import os

import numpy as np
import pytest
from PIL import Image

from mmaslp.files.images import write_picture


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_values_stay(tmp_path, dtype):
    values = np.arange(6, dtype=dtype).reshape(2, 3)
    write_picture(tmp_path / 'new' / 'x.png', values)
    assert np.array_equal(np.asarray(Image.open(tmp_path / 'new' / 'x.png')), values)


def test_a_link_is_replaced(tmp_path):
    values = np.zeros((2, 2), np.uint8)
    write_picture(tmp_path / 'x.png', values)
    os.symlink(tmp_path / 'x.png', tmp_path / 'link.png')
    write_picture(tmp_path / 'link.png', values + 1)
    assert not (tmp_path / 'link.png').is_symlink()
    assert not np.asarray(Image.open(tmp_path / 'x.png')).any()
