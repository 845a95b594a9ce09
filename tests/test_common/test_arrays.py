import pytest
import torch

from mmaslp.metrics import CalibrationHistogram
from tests.test_metrics.pixels import filled, same, smooth


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_cast_up(dtype):
    prob, label = smooth(2000)
    assert same(filled(prob.to(dtype), label), filled(prob.to(dtype).float(), label))


def test_ignored_pixels_count_nowhere():
    prob, label = smooth(1000)
    marked, broken = label.clone(), prob.clone()
    marked[::3] = 255
    broken[::3] = float('nan')  # padding may hold anything
    keep = torch.arange(1000) % 3 != 0
    assert same(filled(broken, marked), filled(prob[keep], label[keep]))
    assert same(
        filled(prob, torch.where(keep, label, -1), ignore_index=-1),
        filled(prob[keep], label[keep]),
    )
    with pytest.raises(ValueError, match='ignore_index=0 leaves all pixels of one'):
        filled(prob, label, ignore_index=0)


def test_arrays_and_shapes():
    prob, label = smooth(600)
    expected = filled(prob, label)
    assert same(filled(prob.numpy(), label.numpy()), expected)
    shape = (2, 1, 20, 15)
    assert same(filled(prob.view(shape), label.view(shape)), expected)
    strided = prob.view(20, 30).t()
    assert same(filled(strided, label.view(20, 30).t()), expected)


@pytest.mark.parametrize(
    'prob, label, words',
    [
        ([0.5, 1.5], [0, 1], 'must be in .0, 1.*sigmoid'),
        ([-0.1, 0.5], [0, 1], 'must be in .0, 1.'),
        ([float('nan'), 0.5], [0, 1], '1 NaN'),
        ([float('inf'), 0.5], [0, 1], 'must be in'),
        ([0, 1], [0, 1], 'floating point.*divide'),
        ([0.5, 0.5], [0], 'shape'),
        ([[0.5, 0.5]], [0, 1], 'shape'),
        ([0.5, 0.5], [0, 2], 'label.*contains 2'),
        ([0.5, 0.5], [-1, 1], 'label.*contains -1'),
        ([0.5, 0.5], [0, 254], 'contains 254.*255'),
        ([0.5, 0.5], [0.3, 1.0], 'contains 0.3'),
        ([0.5, 0.5], [float('nan'), 1.0], 'contains nan'),
    ],
)
def test_bad_input_says_what_and_counts_nothing(prob, label, words):
    histogram = CalibrationHistogram()
    with pytest.raises(ValueError, match=f'(?s){words}'):
        histogram.update(torch.tensor(prob), torch.tensor(label))
    assert histogram.count == 0
    assert int(histogram.nll) == 0
