"""What the loss refuses, or warns of, in the place of a wrong figure."""

import numpy as np
import pytest
import torch

from mmaslp import BandLevels, ImageLevels, SelfCalibratingBCE
from mmaslp.losses import sc_bce
from mmaslp.losses.perturbations import max_alpha

LOGITS, ONES = torch.zeros(2, 1, 8, 8), torch.ones(2, 8, 8)


def margin(weight):
    levels = ImageLevels(['a', 'b'])
    sample = levels.sample(['a', 'b'], 0)
    SelfCalibratingBCE(levels)(LOGITS, ONES, sample, margin_weight=weight)


@pytest.mark.parametrize(
    ('call', 'given'),
    [
        (lambda factor: SelfCalibratingBCE()(LOGITS, ONES, avg_factor=factor), 0),
        (margin, -1),
        (lambda weight: SelfCalibratingBCE()(LOGITS, ONES, pixel_weight=weight), 'x'),
        (lambda target: sc_bce(LOGITS, target), None),
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
        lambda odd: SelfCalibratingBCE()(odd, GOOD),
        lambda odd: SelfCalibratingBCE()(GOOD, odd),
    ],
)
def test_what_is_no_map(call, odd):
    with pytest.raises(ValueError, match=r'(prob|label|logits|labels) must be'):
        call(odd)


def test_a_pixel_of_each_image_has_a_loss():
    logit, label = torch.tensor([2.0, -1.0]), torch.tensor([1.0, 1.0])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logit, label, reduction='none'
    )
    torch.testing.assert_close(SelfCalibratingBCE()(logit, label), expected.mean())
    found = SelfCalibratingBCE(reduction='none')(logit, label)
    torch.testing.assert_close(found, expected)


KEYS = torch.arange(8) // 2


@pytest.mark.parametrize('wide', [torch.uint16, torch.uint32, torch.uint64])
def test_unsigned_labels(wide):
    logits = torch.zeros(1, 1, 4, 4)
    assert SelfCalibratingBCE()(logits, torch.ones(1, 4, 4).to(wide)) < 0.7


def criterion_of(levels):
    return SelfCalibratingBCE(levels)


SAID = {
    'does not hold its levels': lambda: criterion_of(BandLevels()).state_dict(),
    'leave the sigmoid out': lambda: SelfCalibratingBCE()(
        torch.rand(100, 1, 4, 4), torch.ones(100, 4, 4)
    ),
    'perturbs nothing: give it alpha': lambda: SelfCalibratingBCE(beta='M')(
        torch.randn(2, 1, 4, 4), torch.ones(2, 4, 4)
    ),
}


@pytest.mark.parametrize('words', SAID)
def test_python_that_is_probably_wrong(words):
    with pytest.warns(UserWarning, match=words):
        SAID[words]()


LABELS = (torch.rand(5, 16, 16) > 0.5).long()
SOFTMAX = torch.rand(5, 2, 16, 16).softmax(1)
SOFTMAX_AS_LOGITS = {
    'loss': lambda: SelfCalibratingBCE()(SOFTMAX, LABELS),
}


@pytest.mark.parametrize('door', SOFTMAX_AS_LOGITS)
def test_a_softmax_in_the_place_of_logits(door):
    with pytest.warns(UserWarning, match='if they are probabilities'):
        SOFTMAX_AS_LOGITS[door]()


LAST = torch.rand(5, 16, 16, 1)  # the channel
PROBS = LAST[..., 0]


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (
            lambda: SelfCalibratingBCE()(torch.zeros(KEYS.shape), KEYS, reduction='x'),
            'reduction must be',
        ),
        (lambda: SelfCalibratingBCE(ImageLevels(['a']), alpha=0.1), 'leave alpha and'),
        (lambda: max_alpha(-1.0), 'beta must be'),
        (
            lambda: SelfCalibratingBCE(BandLevels())(
                PROBS, LABELS, ImageLevels(['a']).sample(['a'], 0)
            ),
            'leave the sample out',
        ),
        (
            lambda: SelfCalibratingBCE()(SOFTMAX, LABELS, pixel_weight=2.0),
            'pixel_weight must be a tensor',
        ),
    ],
)
def test_python_that_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()
