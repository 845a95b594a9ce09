"""Cells of the logit and the tables of counts."""

import numpy as np
import pytest
import torch

from mmaslp.calibration import CalibrationTables
from mmaslp.calibration.curves import (
    CELLS,
    CENTRES,
    LIMIT,
    SIDE,
    as_logits,
    cell_numbers,
)
from mmaslp.calibration.fitting.tables import GROUPS
from mmaslp.common.bands import border_bands
from tests.test_calibration.samples import maps


def test_cells_have_their_centres_and_part_at_one_half():
    numbers = cell_numbers(torch.from_numpy(CENTRES[1:-1]))
    assert numbers.tolist() == list(range(1, CELLS - 1))
    logits = torch.tensor(
        [-np.inf, -LIMIT - 0.1, -0.0, 0.0, 1e-30, LIMIT + 0.1, np.inf]
    )
    last = CELLS - 1
    assert cell_numbers(logits).tolist() == [0, 0, SIDE, SIDE, SIDE + 1, last, last]


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_neighbours_of_one_half_keep_their_sides(dtype):
    half = torch.tensor(0.5, dtype=dtype)
    prob = torch.stack([half.nextafter(half * 0), half, half.nextafter(half * 2)])
    assert cell_numbers(torch.logit(prob)).tolist() == [SIDE, SIDE, SIDE + 1]


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_logits_are_those_of_torch_bit_by_bit(dtype):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(40009, generator=generator, dtype=torch.float64)
    ends = torch.tensor([0, 1, 0.5, 1e-45, 1e-38, 1 - 6e-8, np.nan])
    prob = torch.cat([torch.sigmoid(20 * values), ends.double()]).to(dtype)
    expected = torch.logit(prob)
    assert np.array_equal(as_logits(prob), expected, equal_nan=True)


def test_update_counts_labels_by_band_and_cell():
    prob, label = (each[0] for each in maps(1))
    label[:5] = 255
    tables = CalibrationTables()
    tables.update(prob, label, key=GROUPS + 3)
    logit = torch.from_numpy(prob).logit()
    bands = border_bands(logit[None] > 0)[0]
    expected = np.zeros(tables.counts.shape[1:], np.int64)
    for b, c, y in zip(bands.ravel(), cell_numbers(logit).ravel(), label.ravel()):
        if y != 255:
            expected[b, c, y] += 1
    assert np.array_equal(tables.counts[3], expected)
    assert tables.images.nonzero().tolist() == [[3]]


def test_merge_equals_one_process():
    prob, label = maps(7)
    whole, first, second = (CalibrationTables() for _ in range(3))
    for key in range(7):
        whole.update(prob[key], label[key])
        (first, second)[key % 2].update(prob[key], label[key], key)
    first.merge(second)
    assert torch.equal(first.counts, whole.counts)
    assert torch.equal(first.images, whole.images)


def test_forms_of_one_image():
    prob, label = maps(2)
    for given in (prob, prob[:, None], torch.from_numpy(prob), prob.astype('>f8')):
        tables = CalibrationTables()
        tables.update(given, label)
        assert tables.images.sum() == 1
        one = CalibrationTables()
        for each in range(2):
            one.update(prob[each], label[each], key=0)
        assert torch.equal(tables.counts, one.counts)


def bad(prob, label, where, value, to='prob'):
    prob, label = prob.copy(), label.copy()
    (prob if to == 'prob' else label)[where] = value
    return prob, label


@pytest.mark.parametrize(
    ('value', 'to', 'message'),
    [
        (np.nan, 'prob', 'NaN'),
        (-3.0, 'prob', 'logits'),
        (7, 'label', 'contains 7'),
    ],
)
def test_bad_values_count_nothing(value, to, message):
    prob, label = bad(*(each[0] for each in maps(1)), (4, 5), value, to)
    tables = CalibrationTables()
    with pytest.raises(ValueError, match=message):
        tables.update(prob, label)
    assert not tables.counts.any()
    assert not tables.images.any()
    if to == 'prob':
        label[4, 5] = 255
        tables.update(prob, label)
        assert tables.counts.sum() == label.size - 1


def test_other_sizes_and_types_are_refused():
    prob, label = (each[0] for each in maps(1))
    with pytest.raises(ValueError, match='shape'):
        CalibrationTables().update(prob, label[1:])
    with pytest.raises(ValueError, match='floating point'):
        CalibrationTables().update((prob * 255).astype(np.uint8), label)


def test_an_image_without_a_key_is_no_patient_of_another():
    prob = torch.full((8, 8), 0.9)
    for first, second in ((1, None), (None, 0)):
        tables = CalibrationTables()
        tables.update(prob, torch.ones(8, 8), key=first)
        with pytest.raises(ValueError, match='give update the key of each image'):
            tables.update(prob, torch.ones(8, 8), key=second)
        assert int(tables.images.sum()) == 1
