"""What tables of counts refuse, or warn of, in the place of a wrong figure."""

import numpy as np
import pytest
import torch

from mmaslp import BandTable, CalibrationHistogram
from mmaslp.functional import calibration_error

PROB = np.random.default_rng(0).random((8, 16, 16))
LABEL = (PROB > 0.4).astype(np.uint8)
MASKED = np.ma.masked_array(PROB, PROB > 0.5)


@pytest.mark.parametrize(
    ('call', 'given'),
    [
        (lambda prob: calibration_error(prob, LABEL), MASKED),
        (lambda prob: calibration_error(prob, LABEL), PROB + 1j),
        (lambda prob: calibration_error(prob, LABEL), PROB.tolist()),
    ],
)
def test_arguments_that_answered_something_else(call, given):
    with pytest.raises(ValueError):
        call(given)


GOOD = torch.zeros(2, 4, 4)


@pytest.mark.parametrize(
    'odd',
    [
        *(None, 'abc', {}, len, np.array([None]), GOOD.to('meta'), GOOD.to_sparse()),
        torch.nested.nested_tensor([torch.zeros(4, 4), torch.zeros(5, 5)]),
    ],
    ids=['None', 'text', 'dict', 'function', 'objects', 'meta', 'sparse', 'nested'],
)
@pytest.mark.parametrize(
    'call',
    [
        lambda odd: CalibrationHistogram().update(odd, GOOD),
        lambda odd: CalibrationHistogram().update(GOOD, odd),
        lambda odd: BandTable().update(odd, GOOD),
    ],
)
def test_what_is_no_map(call, odd):
    with pytest.raises(ValueError, match=r'(prob|label|logits|labels) must be'):
        call(odd)


@pytest.mark.parametrize('odd', [None, 'abc', {}, len, 3])
@pytest.mark.parametrize(
    'call',
    [
        BandTable().merge,
        CalibrationHistogram().merge,
    ],
)
def test_what_is_no_object_of_ours(call, odd):
    with pytest.raises(ValueError):
        call(odd)


SMALL_PROB = np.random.default_rng(0).random((8, 4, 4))
SMALL_LABEL = (SMALL_PROB > 0.6).astype(np.uint8)


def state_of_floats():
    histogram = CalibrationHistogram()
    histogram.update(SMALL_PROB, SMALL_LABEL)
    state = histogram.state_dict()
    histogram.load_state_dict({**state, 'counts': state['counts'] + 0.5})


def test_labels_that_look_like_a_mask_of_0_and_255():
    prob, label = torch.full((1, 8, 8), 0.1), torch.zeros(1, 8, 8)
    label[:, 4:] = 255
    for counter in (CalibrationHistogram(), BandTable()):
        with pytest.warns(UserWarning, match='divide a mask of 0 and 255 by 255'):
            counter.update(prob, label)


LABELS = (torch.rand(5, 16, 16) > 0.5).long()
LAST = torch.rand(5, 16, 16, 1)  # the channel
PROBS = LAST[..., 0]


def test_labels_with_a_channel_are_those_without():
    tables = [BandTable() for _ in range(2)]
    for table, labels in zip(tables, (LABELS, LABELS[:, None])):
        table.update(PROBS, labels)
    assert torch.equal(tables[0].totals, tables[1].totals)
    with pytest.raises(ValueError, match='one channel more'):
        BandTable().update(PROBS, LABELS[:, None].expand(-1, 2, -1, -1))


def test_two_channels_of_a_crop_within_an_organ_are_no_one_hot_labels():
    labels = torch.stack([torch.ones(1, 8, 8), torch.zeros(1, 8, 8)], 1).long()
    table = BandTable()
    table.update(torch.rand(1, 2, 8, 8), labels)
    assert table.count == 128


SOFTMAX = torch.rand(5, 2, 16, 16).softmax(1)
TABLE, HISTOGRAM = BandTable(), CalibrationHistogram()


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (state_of_floats, 'is broken'),
        (lambda: BandTable().update(LAST, LAST.round().long()), '1 pixels wide'),
        (
            lambda: BandTable().update(SOFTMAX, torch.stack([1 - LABELS, LABELS], 1)),
            'is one-hot',
        ),
        (lambda: TABLE.merge(TABLE), 'another BandTable'),
        (lambda: HISTOGRAM.merge(HISTOGRAM), 'another histogram'),
        (lambda: BandTable().update(PROBS, LABELS, ignore_index=1), 'a value that is'),
        (
            lambda: CalibrationHistogram().update(
                SOFTMAX, torch.stack([1 - LABELS, LABELS], 1)
            ),
            'is one-hot',
        ),
        (lambda: (table := BandTable()).merge(table), 'not itself'),
        (lambda: calibration_error(SOFTMAX[:, 1], LABELS, n_bins=0), 'n_bins must be'),
        (lambda: CalibrationHistogram().merge(BandTable()), 'and not <'),
    ],
)
def test_python_that_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()
