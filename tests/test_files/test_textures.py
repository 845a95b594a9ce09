import numpy as np
import pytest

from mmaslp.files.textures import TEXTURES, blob

SIZE = 48


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.mark.parametrize('texture', TEXTURES)
def test_textures_vary_within_their_range(rng, texture):
    field = texture(rng, SIZE)
    assert field.shape == (SIZE, SIZE) and field.dtype == np.float32
    assert field.min() >= 0 and field.max() <= 1 and field.std() > 0.02
    again = texture(np.random.default_rng(3), SIZE)
    np.testing.assert_array_equal(field, again)


def test_a_blob_lies_at_its_centre(rng):
    for _ in range(10):
        shape = blob(rng, SIZE, (30, 18), 8)
        y, x = np.nonzero(shape > 0.5)
        assert abs(x.mean() - 30) < 6 and abs(y.mean() - 18) < 6
        assert shape.min() >= 0 and shape.max() == 1
