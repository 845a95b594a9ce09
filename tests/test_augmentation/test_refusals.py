"""What windows refuse."""

import numpy as np
import pytest
import torch

from mmaslp.augmentation.windows import ObjectFreeWindows, find_window

PROB = np.random.default_rng(0).random((8, 16, 16))


def window(image):
    ObjectFreeWindows(prob=1.0, seed=0)(image, np.zeros((16, 16)))


@pytest.mark.parametrize(
    ('call', 'given'),
    [
        (window, PROB[0].tolist()),
        (window, np.full((16, 16), 2**63 + 5, np.uint64)),
        (find_window, 'abc'),
        (window, np.full((16, 16), 'a')),
        (window, PROB[0] + 1j),
        (window, torch.zeros(3, 16, 16, dtype=torch.complex64)),
        (lambda mask: ObjectFreeWindows(prob=1.0)(PROB[0], mask), None),
    ],
)
def test_arguments_that_answered_something_else(call, given):
    with pytest.raises(ValueError):
        call(given)


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (
            lambda: ObjectFreeWindows().batch(
                torch.zeros(2, 4, 4), torch.zeros(1, 4, 4)
            ),
            'as many images as masks',
        ),
        (
            lambda: ObjectFreeWindows().batch(torch.zeros(0, 3, 4, 4), torch.zeros(0)),
            'at least one',
        ),
        (lambda: ObjectFreeWindows(seed=-1), 'seed must be'),
    ],
)
def test_python_that_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()
