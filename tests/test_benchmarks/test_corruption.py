"""Masks of corrupted images lie where the objects are."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if find_spec('imagecorruptions') is None:  # to import it takes a second
    pytest.skip('needs the extra [benchmarks]', allow_module_level=True)
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'benchmarks'))

from corruption import MOVING, corrupt_image, corrupt_mask


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


# glass_blur is compiled when it is first called.
KINDS = [
    pytest.param(kind, marks=[pytest.mark.release] * (kind == 'glass_blur'))
    for kind in MOVING
]


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('place', [40, 0])  # inside, and cut by two sides
def test_a_mask_moves_as_its_object(kind, place):
    rows, columns = np.indices((120, 160))
    mask = np.uint8(np.hypot(rows - place, columns - place - 10) < 30)
    picture = np.repeat(255 * mask[..., None], 3, axis=2)
    shown = corrupt_image(picture, 'an image', kind, 3)[..., 0] > 127
    moved = corrupt_mask(mask, 'an image', kind, 3) > 0
    assert overlap(moved, shown) > max(0.9, overlap(mask > 0, shown) - 0.01)


def test_other_corruptions_leave_a_mask():
    mask = np.eye(64, dtype=np.uint8)
    assert corrupt_mask(mask, 'an image', 'fog', 5) is mask
