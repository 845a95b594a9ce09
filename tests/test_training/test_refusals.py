"""What sessions of a training refuse, or warn of."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from mmaslp import (
    BandLevels,
    BandTable,
    Calibrator,
    ImageLevels,
    SelfCalibratingBCE,
    fit_calibrator,
)
from mmaslp.training.sessions import CalibratorSession, LevelsSession

PROB = np.random.default_rng(0).random((8, 16, 16))
LABEL = (PROB > 0.4).astype(np.uint8)


@pytest.mark.parametrize(
    ('call', 'given'),
    [
        (CalibratorSession().load_state_dict, [1]),
        (lambda keys: CalibratorSession().update(PROB, LABEL, keys), [0.5] * 8),
        (lambda logger: CalibratorSession(logger=logger), 'tensorboard'),
    ],
)
def test_arguments_that_answered_something_else(call, given):
    with pytest.raises(ValueError):
        call(given)


SMALL_PROB = np.random.default_rng(0).random((8, 4, 4))
SMALL_LABEL = (SMALL_PROB > 0.6).astype(np.uint8)
LABELS = (torch.rand(5, 16, 16) > 0.5).long()


def criterion_of(levels):
    return SelfCalibratingBCE(levels)


def draw_samples(batches):
    """Two heads a batch, with a sample of each batch."""
    levels = ImageLevels(['a'], rule='fixed', alpha=0.2)
    criterion = SelfCalibratingBCE(levels)
    for step in range(batches):
        levels.sample(['a'], step)
        for _ in range(2):
            criterion(torch.zeros(1, 1, 4, 4), torch.ones(1, 4, 4))


LAST = torch.rand(5, 16, 16, 1)  # the channel
PROBS = LAST[..., 0]
BETTER = (LABELS + PROBS) / 2
PAIRS = [*zip(BETTER, LABELS)]
GROUPS = [*'abcde']


def judging():
    """A calibrator that was fitted to maps of one channel."""
    return fit_calibrator(BETTER, LABELS)


def observe_sizes(*sizes):
    """Validations of so many images, each with a table of its own."""
    levels = BandLevels()
    for size in sizes:
        table = BandTable()
        for row in range(size):
            table.update(PROBS[row % 5], LABELS[row % 5])
        levels.count_batch()
        levels.observe(table)


class Stream(IterableDataset):
    """A data set without a length, nor has its sampler one."""

    def __iter__(self):
        return iter(PAIRS)


def test_what_is_right_beside_what_is_refused(recwarn):
    observe_sizes(2, 5, 5, 3)
    draw_samples(100)
    SelfCalibratingBCE().state_dict()
    nn.ModuleList([criterion_of(BandLevels())]).state_dict()
    calibrator = judging()
    two = torch.randn(2, 16, 16)
    assert torch.equal(calibrator.logits(two)[1], calibrator.logits(two[1]))
    for options in (
        dict(),
        dict(sampler=range(5)),
        dict(batch_sampler=[[0, 1, 2, 3, 4]]),
    ):
        fit_calibrator(DataLoader(PAIRS, **options), groups=GROUPS)
    fit_calibrator(DataLoader(PAIRS, shuffle=True), groups=iter(GROUPS))
    fit_calibrator(DataLoader(Stream()), groups=GROUPS)
    assert {calibrator: 1}[Calibrator.from_dict(calibrator.to_dict())]
    assert not recwarn.list


SOFTMAX = torch.rand(5, 2, 16, 16).softmax(1)
SOFTMAX_AS_LOGITS = {
    'levels': lambda: LevelsSession().update(SOFTMAX[:, 1], LABELS, logits=True),
    'calibrator': lambda: CalibratorSession().update(SOFTMAX, LABELS, logits=True),
}


@pytest.mark.parametrize('door', SOFTMAX_AS_LOGITS)
def test_a_softmax_in_the_place_of_logits(door):
    with pytest.warns(UserWarning, match='if they are probabilities'):
        SOFTMAX_AS_LOGITS[door]()


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (
            lambda: CalibratorSession().update(
                *map(torch.tensor, (SMALL_PROB, SMALL_LABEL[:3]))
            ),
            'as many labels',
        ),
        (
            lambda: LevelsSession().update(SOFTMAX[:, 0], LABELS, logits='no'),
            'logits must be',
        ),
        (lambda: CalibratorSession().update(PROBS[0], LABELS[0]), 'give a batch'),
    ],
)
def test_python_that_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()
