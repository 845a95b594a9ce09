"""What toolkits leave to the sessions."""

import logging

import pytest
import torch

from mmaslp.levels import BandLevels
from mmaslp.training.sessions import CalibratorSession, LevelsSession, Plan

LOGGER = logging.getLogger('mmaslp')


@pytest.mark.parametrize(
    ('make', 'match'),
    [
        (lambda: CalibratorSession.of(dict(metod=1)), 'must be one of by, method, tar'),
        (lambda: CalibratorSession.of(dict(method='x')), 'method must be one of'),
        (lambda: CalibratorSession.of(None), 'calibrator must be True, False or'),
        (lambda: CalibratorSession(ignore_index='255'), 'ignore_index must be an int'),
        (lambda: LevelsSession(ignore_index='255'), 'ignore_index must be an integer'),
        (lambda: LevelsSession().load_state_dict([1]), 'not one of ImageBandLevels'),
        (lambda: LevelsSession().plan('60'), 'validations must be an integer'),
        (lambda: LevelsSession().plan(-1), 'validations must be an integer'),
        (lambda: LevelsSession('image'), "levels must be one of 'image_band', 'band'"),
        (lambda: LevelsSession('border'), "levels='border' is levels='band'"),
    ],
)
def test_options_are_checked_at_once(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_an_option_of_a_toolkit():
    assert CalibratorSession.of(False) is None
    assert CalibratorSession.of(True).target == 'confidence'
    session = CalibratorSession.of(dict(target='probability'), ignore_index=7)
    assert (session.target, session.ignore_index) == ('probability', 7)


def test_warm_up_is_a_third_or_that_of_given_levels():
    assert LevelsSession().plan(60) == Plan(60, 20)
    assert LevelsSession(BandLevels(warmup=7)).plan(60) == Plan(60, 7)
    session = LevelsSession(BandLevels(warmup=7))
    assert session.plan(60, warmup=3).warmup == session.levels.warmup == 3


def test_too_few_validations_are_refused_and_few_are_said(caplog):
    Plan(30, 10).check('train on', LOGGER)
    assert not caplog.text
    Plan(29, 10).check('train on', LOGGER)
    assert '19 are between' in caplog.text
    for plan in (Plan(14, 10), Plan(3, 10)):
        with pytest.raises(ValueError, match=f'{plan.left} are between.*; train on'):
            plan.check('train on', LOGGER)


def test_a_calibrator_belongs_to_the_weights_of_the_last_validation(caplog):
    torch.manual_seed(0)
    labels = torch.randint(0, 2, (6, 8, 8))
    logits = 4 * (labels - 0.5) + 3 * torch.randn(6, 8, 8)
    session = CalibratorSession(method='temperature')
    assert session.fit() is None
    assert not caplog.text
    session.update(logits, labels, logits=True)
    assert session.fit() is None
    assert 'end_validation() is to come' in caplog.text
    session.end_validation()
    fitted = session.fit()
    assert fitted.record['images'] == 6
    other = CalibratorSession()
    other.load_state_dict(session.state_dict())
    assert other.fit().to_dict() == fitted.to_dict()
    other.update(logits[:5], labels[:5], logits=True)  # a validation after a resume
    other.end_validation()
    assert other.fit().record['images'] == 5

    session.train_step()
    assert session.state_dict() == {'calibrator': None}
    session.update(logits, labels, logits=True)  # it is not added to the last one
    session.end_validation()
    assert session.fit().record['images'] == 6
    session.update(logits[:5], labels[:5], logits=True)
    session.end_validation()
    assert session.fit().record['images'] == 5
    session.start_validation()
    session.update(logits[:2], labels[:2], logits=True)
    session.end_validation()
    assert session.fit() is None
    assert 'no calibrator is fitted' in caplog.text


@pytest.mark.parametrize('error', [ValueError, RuntimeError, OSError, MemoryError])
def test_a_calibrator_that_fails_costs_no_training(error, caplog):
    def count():
        raise error('of a device')

    session = CalibratorSession()
    session.take(count)
    assert session.fit() is None
    assert 'of a device' in caplog.text


def test_a_second_validation_replaces_the_first():
    session = CalibratorSession(method='temperature')
    images = []
    for number in (6, 8):
        labels = torch.randint(0, 2, (number, 8, 8))
        counted = CalibratorSession()
        counted.update(labels * 0.6 + 0.2, labels)
        counted.end_validation()
        session.take(lambda tables=counted._tables: tables)
        images.append(session.fit().record['images'])
    assert images == [6, 8]
    session.load_state_dict({'calibrator': None})
    assert session.fit() is None


def test_images_without_a_label_take_no_number_of_another():
    session = CalibratorSession()
    prob = torch.rand(3, 1, 8, 8)
    labels = (torch.rand(3, 8, 8) > 0.5).long()
    labels[1] = 255
    for _ in range(2):
        session.update(prob, labels)
    assert session._tables.keys == {0, 2, 3, 5}
