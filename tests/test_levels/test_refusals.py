"""What levels refuse, or warn of, in the place of a wrong training."""

import pytest
import torch

from mmaslp import BandLevels, BandTable, ImageLevels, SelfCalibratingBCE
from mmaslp.levels.rules import make_rule
from mmaslp.losses import targets


@pytest.mark.parametrize(
    ('call', 'given'),
    [
        (lambda logger: ImageLevels(['a'], logger=logger), 'tensorboard'),
        (lambda names: ImageLevels(['a']).sample(names, 0), None),
    ],
)
def test_arguments_that_answered_something_else(call, given):
    with pytest.raises(ValueError):
        call(given)


@pytest.mark.parametrize('odd', [None, 'abc', {}, len, 3])
@pytest.mark.parametrize(
    'call',
    [
        BandLevels().load_state_dict,
        BandLevels().observe,
        ImageLevels(['a']).load_state_dict,
        ImageLevels(['a']).update,
    ],
)
def test_what_is_no_object_of_ours(call, odd):
    with pytest.raises(ValueError):
        call(odd)


def test_levels_that_nobody_moves_are_said_once(recwarn, monkeypatch):
    monkeypatch.setattr(targets, 'MANY_BATCHES', 250)
    criterion = SelfCalibratingBCE(BandLevels())
    logit, label = torch.zeros(1, 1, 4, 4, requires_grad=True), torch.ones(1, 4, 4)
    for _ in range(249):
        criterion(logit, label)
    assert not recwarn.list
    for _ in range(300):
        criterion(logit, label)
    assert ['observe(...)' in str(each.message) for each in recwarn.list] == [True]


def test_levels_of_a_toolkit_may_wait(recwarn):
    levels = BandLevels()
    levels.expect_validations()
    criterion = SelfCalibratingBCE(levels)
    logit, label = torch.zeros(1, 1, 4, 4, requires_grad=True), torch.ones(1, 4, 4)
    for _ in range(600):
        criterion(logit, label)
    assert not recwarn.list


def observed():
    table, label = BandTable(), torch.zeros(32, 32)
    label[:, 16:] = 1
    table.update(0.1 + 0.8 * label, label)
    levels = BandLevels()
    levels.observe(table)
    return levels.state_dict()


MEASURED = dict(gaps=[0.1] * 5, shares=[0.2] * 5, iou=0.5, acc=0.9)


@pytest.mark.parametrize(
    'damage',
    [
        dict(recent=None),
        dict(recent=[3]),
        dict(recent=[{**MEASURED, 'gaps': [0.1] * 4}]),
        dict(recent=[{**MEASURED, 'gaps': None}]),
        dict(recent=[{**MEASURED, 'shares': [0.1] * 3}]),
        dict(recent=[{**MEASURED, 'shares': [None] * 5}]),
        dict(recent=[{**MEASURED, 'iou': 'x'}]),
        dict(recent=[dict(gaps=[0.1] * 5)]),
        dict(recent=[{**MEASURED, 'gaps': [9.0] * 5}]),
        dict(recent=[{**MEASURED, 'shares': [-0.2] * 5}]),
        dict(recent=[{**MEASURED, 'acc': 7.0}]),
        dict(best=dict(iou=7.0, iou_se=0.1, acc=0.5, acc_se=0.1)),
        dict(best=dict(iou=0.5, iou_se=-7.0, acc=0.5, acc_se=0.1)),
        dict(held=3),
        dict(best=dict(iou='x', iou_se=0.1, acc=0.5, acc_se=0.1)),
    ],
)
def test_a_damaged_state_of_levels_is_refused_when_it_is_loaded(damage):
    levels = BandLevels()
    with pytest.raises(ValueError, match='is damaged'):
        levels.load_state_dict({**observed(), **damage})
    assert not levels.validations


def test_no_object_found_ever_more_surely_is_no_table_observed_twice(recwarn):
    label, levels = torch.zeros(32, 32), BandLevels()
    label[:, 16:] = 1
    for low in (0.4, 0.3, 0.2):
        table = BandTable()
        table.update(torch.full((32, 32), low), label)
        levels.count_batch()
        levels.observe(table)
    SelfCalibratingBCE()(torch.zeros(100, 1, 4, 4), torch.ones(100, 4, 4))
    assert not recwarn.list


def observe_twice():
    label = torch.zeros(32, 32)
    label[:, 16:] = 1
    table, levels = BandTable(), BandLevels()
    for _ in range(2):
        table.update(0.1 + 0.8 * label, label)
        levels.observe(table)


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (
            lambda: BandLevels().load_state_dict(
                BandLevels().state_dict() | {'best': {}}
            ),
            'is damaged',
        ),
        (lambda: make_rule('MC', warmup=3), "no argument 'warmup'"),
        (lambda: BandLevels().observe(BandTable(), whole='yes'), 'whole must be'),
        (observe_twice, 'the table holds the last validation too'),
        (lambda: ImageLevels(['a', 'b', 'a']), 'every training image once'),
        (lambda: ImageLevels(100), 'ids must be strings'),
        (lambda: make_rule('MC', warmup=3), 'ASLPHook has warmup_epochs'),
    ],
)
def test_python_that_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()
