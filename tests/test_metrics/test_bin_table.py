import numpy as np
import pytest

from mmaslp.metrics import BinTable
from mmaslp.metrics.bins import ratio


def table():
    """Two images, four bins each."""
    return BinTable(
        np.array([[4, 0, 2, 2], [0, 0, 6, 4]]),
        np.array([[1, 0, 2, 1], [0, 0, 3, 4]]),
        np.array([[1.0, 0.0, 1.2, 1.8], [0.0, 0.0, 3.6, 3.6]]),
    )


def test_means_and_shares_of_bins():
    own = table()
    assert own.total.tolist() == [8, 10]
    assert own.accuracy[0] == pytest.approx([0.25, np.nan, 1, 0.5], nan_ok=True)
    assert own.mean_conf[1] == pytest.approx([np.nan, np.nan, 0.6, 0.9], nan_ok=True)
    assert own.weight[0] == pytest.approx([0.5, 0, 0.25, 0.25])


def test_pooled_adds_images_as_often_as_the_weights_say():
    assert table().pooled().count.tolist() == [4, 0, 8, 6]
    drawn = table().pooled(np.array([[1, 1], [2, 0], [0, 3]]))
    assert drawn.correct.tolist() == [[1, 0, 5, 5], [2, 0, 4, 2], [0, 0, 9, 12]]
    assert drawn.conf[1] == pytest.approx([2, 0, 2.4, 3.6])


def test_no_pixel_is_nan_without_a_warning(recwarn):
    empty = BinTable(*np.zeros((3, 5)))
    assert np.isnan(empty.weight).all()
    assert np.isnan(ratio(1, 0))
    assert not recwarn.list
