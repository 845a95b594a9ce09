import numpy as np

from mmaslp.report.alpha import alpha_histogram

BLUE = (31, 119, 180)


def bar_columns(picture):
    """Columns of the picture that hold bars."""
    return np.flatnonzero((picture == BLUE).all(-1).any(0))


def test_a_picture_of_the_levels():
    picture = alpha_histogram(np.linspace(0, 0.4, 100), beta=2.0)
    assert picture.dtype == np.uint8 and picture.shape == (300, 500, 3)
    columns = bar_columns(picture)
    assert columns[-1] - columns[0] > 300


def test_zoom_shows_differences_that_are_small_against_the_mean():
    levels = 0.4 + np.linspace(0, 1e-4, 50)
    plain, zoomed = (
        len(bar_columns(alpha_histogram(levels, beta=2.0, zoom=zoom)))
        for zoom in (False, True)
    )
    assert plain < 20 < 200 < zoomed
