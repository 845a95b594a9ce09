import numpy as np
import pytest
import torch

from mmaslp.calibration import CalibrationTables
from mmaslp.calibration.curves import CELLS, SIDE, cell_numbers
from mmaslp.calibration.features import CODES
from mmaslp.common.bands import NUM_BANDS, border_bands
from mmaslp.metrics import objects
from mmaslp.metrics.objects import find_objects
from tests.test_calibration.object_scenes import discs


def counted(prob, label, group=0):
    tables = CalibrationTables()
    tables.update(prob, label, group)
    return tables.contents[0]


def flood(mask):
    """Components by faces, found by a loop."""
    left = {tuple(place) for place in np.argwhere(mask)}
    found = []
    while left:
        todo = [left.pop()]
        own = set(todo)
        while todo:
            place = todo.pop()
            for axis in range(mask.ndim):
                for step in (-1, 1):
                    near = list(place)
                    near[axis] += step
                    near = tuple(near)
                    if near in left:
                        left.discard(near)
                        own.add(near)
                        todo.append(near)
        found.append(sorted(own))
    return sorted(found)


@pytest.mark.parametrize('depth', [None, 6])
def test_objects_and_their_counts_are_those_of_a_loop(depth, monkeypatch):
    monkeypatch.setitem(objects.LEAST_SHARE, 3, 1e-3)
    prob, label = discs(0, size=32, depth=depth)
    label[..., 3] = 255
    prob[..., 0, 0] = 0.9  # a component of a pixel, or of a column of six
    found = counted(prob, label)
    expected = [own for own in flood(prob > 0.5) if len(own) >= 1e-3 * prob.size]
    assert found.num_objects == len(expected) >= 2
    logit = torch.logit(torch.as_tensor(prob, dtype=torch.float32))
    bands = border_bands((logit > 0).reshape(-1, *logit.shape[-2:]))
    codes = bands.view(logit.shape).int().numpy() * CELLS + cell_numbers(logit).numpy()
    values = np.random.default_rng(0).random(CODES)
    sums = found.sums_of_objects(values)
    labels = found.labels_of_objects()
    for k, own in enumerate(expected):
        places = tuple(np.array(own).T)
        assert sums[k] == pytest.approx(values[codes[places]].sum())
        for number in (0, 1):
            assert labels[k, number] == (label[places] == number).sum()
    whole = np.bincount(codes.ravel(), minlength=CODES)
    assert np.array_equal(found.pixels, whole[found.codes])
    assert found.pixels.sum() == prob.size
    assert found.pixels[found.in_mask].sum() == (prob > 0.5).sum()
    tables = CalibrationTables()
    tables.update(prob, label, 0)
    assert np.array_equal(found.labels, tables.counts[0].numpy())


def test_small_components_are_no_objects():
    mask = np.zeros((100, 100), bool)
    mask[0, :9] = True
    mask[50, :10] = True
    mask[80:90, 80:90] = True
    labels, number = find_objects(mask)
    assert number == 2
    assert labels[0].max() == 0
    assert (labels[50, 0], labels[85, 85]) == (1, 2)
    nothing, number = find_objects(np.zeros((4, 4), bool))
    assert (number, nothing.max()) == (0, 0)


def test_more_objects_than_16_bits_count():
    places = np.indices((50, 50, 50)).sum(0)
    labels, number = find_objects(places % 2 == 0)
    assert number == labels.max() == 50**3 // 2


def test_codes_are_bands_and_cells():
    assert CODES == NUM_BANDS * CELLS
    found = counted(np.full((8, 8), 0.5), np.zeros((8, 8)))
    assert (found.codes % CELLS <= SIDE).all()  # p = 1/2 is background
    assert found.num_objects == 0
