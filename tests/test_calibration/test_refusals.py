"""What a calibrator refuses, or warns of, in the place of a wrong answer."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from mmaslp import Calibrator, fit_calibrator
from mmaslp.calibration import CalibrationTables, dice_optimal_mask
from mmaslp.calibration.decisions import Decisions
from mmaslp.calibration.features import DOMAIN_FEATURES
from mmaslp.common.bands import NUM_BANDS
from tests.test_calibration.object_scenes import JUDGING


def table_of(key):
    """A table of one image."""
    table = CalibrationTables()
    table.update(torch.full((8, 8), 0.9), torch.ones(8, 8), key)
    return table


def damaged(content, path, value):
    """A file of the content, in which one value is another one."""
    *way, last = path.split('.')
    part = content
    for key in way:
        part = part[int(key) if isinstance(part, list) else key]
    part[int(last) if isinstance(part, list) else last] = value
    return content


@pytest.mark.parametrize(
    ('path', 'value'),
    [
        ('curves.0.values', [False, True]),
        ('curves.0.knots', ['0', '10']),
        ('record.axes', [3]),
        ('record.axes', True),
        ('decisions.area_errors.0', 1e9),
        ('decisions.area_errors.0', '0.1'),
        ('decisions.features.0.2', 7.0),
        ('decisions.features.0.6', 1e308),
        ('decisions.features.0.8', 1e300),
        ('decisions.features.0.2', '0.5'),
        ('decisions.dice.0', True),
        ('decisions.empty', [5.5, 2.2]),
        ('decisions.groups', [0, 0]),
        ('decisions.groups', [7]),
        ('decisions.empty', [True, True]),
        ('decisions.empty', [1, 2]),
        ('decisions.cuts', []),
        ('decisions.objects.weights.0', True),
        ('decisions.objects.weights.0', math.inf),
        ('decisions.objects.weights', [0.0] * 3),
        ('decisions.objects.covariance', [[1.0, 5.0], [7.0, -1.0]]),
    ],
)
def test_a_calibrator_that_cannot_be(path, value):
    plain = json.loads(json.dumps(JUDGING.to_dict()))
    assert Calibrator.from_dict(plain) == JUDGING
    with pytest.raises(ValueError, match='not a calibrator'):
        Calibrator.from_dict(damaged(plain, path, value))


@pytest.mark.parametrize('path', ['decisions.objects', 'decisions', 'curves.0'])
def test_a_list_in_the_place_of_an_object_is_said(path):
    plain = damaged(json.loads(json.dumps(JUDGING.to_dict())), path, [1])
    with pytest.raises(ValueError, match=r'not a calibrator: .*must be an object'):
        Calibrator.from_dict(plain)


@pytest.mark.parametrize('value', [math.nan, np.float32(1), {1, 2}])
def test_a_record_that_no_file_can_hold_is_refused(value):
    with pytest.raises(ValueError, match='its record cannot be written to a file'):
        replace(JUDGING, record={**JUDGING.record, 'note': value})


PROB = np.random.default_rng(0).random((8, 16, 16))
LABEL = (PROB > 0.4).astype(np.uint8)
MASKED = np.ma.masked_array(PROB, PROB > 0.5)
VOLUMES = Calibrator(
    'identity', 'single', 'confidence', [([0, 1], [0, 1])], {'axes': 3}
)
IMAGES = Calibrator('identity', 'single', 'confidence', [([0, 1], [0, 1])], {'axes': 2})


@pytest.mark.parametrize(
    ('call', 'given'),
    [
        (lambda prob: fit_calibrator(prob, LABEL), MASKED),
        (dice_optimal_mask, MASKED[0]),
        (VOLUMES, PROB[0]),
        (VOLUMES.masks, PROB[0]),
        (VOLUMES.masks, PROB[:, None]),
        (IMAGES.masks, PROB),
        (IMAGES, PROB[None, None]),
        (JUDGING.compare_set, [1, 2]),
        (lambda network: fit_calibrator(PROB, LABEL, network=network), 'abc'),
        (lambda prob: fit_calibrator(prob, LABEL), PROB[..., None]),
        (IMAGES.save, None),
        (lambda label: fit_calibrator(PROB, label), 5),
    ],
)
def test_arguments_that_answered_something_else(call, given):
    with pytest.raises(ValueError):
        call(given)


MASK_CURVES = [dict(knots=[-1, 1], values=[-1, 1])] * NUM_BANDS


def test_scores_of_a_mask_of_0_and_255(recwarn):
    plain = JUDGING.to_dict()
    judging = Calibrator.from_dict(plain | dict(mask_curves=MASK_CURVES))
    judging.scores(PROB[0], LABEL[0])
    assert not recwarn.list
    with pytest.warns(UserWarning, match='divide a mask of 0 and 255'):
        judging.scores(PROB[0], LABEL[0] * np.uint8(255))


def test_slices_and_batches_are_no_other_kind():
    assert VOLUMES(PROB).shape == IMAGES(PROB).shape == PROB.shape
    assert VOLUMES(PROB[None, None]).ndim == 5
    assert IMAGES.masks(PROB[:1]).shape == (1, 16, 16)
    assert VOLUMES.masks(PROB).shape == PROB.shape


GOOD = torch.zeros(2, 4, 4)
IDENTITY = Calibrator('identity', 'single', 'confidence', [([0, 1], [0, 1])])


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
        lambda odd: fit_calibrator([odd] * 12, [GOOD] * 12),
        lambda odd: fit_calibrator([GOOD] * 12, [odd] * 12),
        IDENTITY,
        dice_optimal_mask,
    ],
)
def test_what_is_no_map(call, odd):
    with pytest.raises(ValueError, match=r'(prob|label|logits|labels) must be'):
        call(odd)


@pytest.mark.parametrize('odd', [None, 'abc', {}, len, 3])
@pytest.mark.parametrize(
    'call',
    [
        IDENTITY.wrap,
        lambda odd: fit_calibrator(odd, len),
        lambda odd: Calibrator('identity', 'single', 'confidence', odd),
        lambda odd: Calibrator('identity', odd, 'confidence', [([0, 1], [0, 1])]),
    ],
)
def test_what_is_no_object_of_ours(call, odd):
    with pytest.raises(ValueError):
        call(odd)


def test_a_batch_of_a_loader_is_as_many_images():
    rng = np.random.default_rng(0)
    prob = torch.from_numpy(rng.random((12, 1, 8, 8)))
    label = torch.from_numpy(rng.random((12, 8, 8)) < 0.5).long()
    expected = fit_calibrator(prob, label)
    for maps in (prob, prob[:, 0]):
        loader = DataLoader(TensorDataset(maps, label), batch_size=5)
        assert fit_calibrator(loader) == expected
    batches = [(prob[k : k + 4], label[k : k + 4]) for k in (0, 4, 8)]
    assert fit_calibrator(batches) == expected
    with pytest.raises(ValueError, match='a batch contains 4 maps but 3 masks'):
        fit_calibrator([(prob[:4], label[:3])] * 3)


HALVING = Calibrator('temperature', 'single', 'confidence', [([0, 10], [0, 5])])


def test_equal_calibrators_are_equal():
    again = Calibrator.from_dict(HALVING.to_dict())
    assert again == HALVING
    assert again != Calibrator('identity', 'single', 'confidence', HALVING.curves)
    assert HALVING != 3


SMALL_PROB = np.random.default_rng(0).random((8, 4, 4))
SMALL_LABEL = (SMALL_PROB > 0.6).astype(np.uint8)
KEYS = torch.arange(8) // 2


@pytest.mark.parametrize(
    'damage',
    [
        dict(expected=[7.0]),
        dict(dice=[-1.0]),
        dict(accuracy_errors=[50.0]),
        dict(features=[[float('nan')] * len(DOMAIN_FEATURES)]),
        dict(cuts=[[0.0, 3.0, 0.0, 0.5]]),
        dict(relative='no'),
        dict(image=dict(name='regression', weights=[0.0], edge=2.0)),
    ],
)
def test_damaged_decisions_are_refused(damage):
    plain = Decisions(
        features=[[0.1] * len(DOMAIN_FEATURES)],
        expected=[0.5],
        dice=[0.5],
        area_errors=[0.0],
        accuracy_errors=[0.0],
    )
    plain = asdict(plain)
    assert asdict(Decisions.from_dict(plain)) == plain
    with pytest.raises(ValueError, match='decisions'):
        Decisions.from_dict({**plain, **damage})


LABELS = (torch.rand(5, 16, 16) > 0.5).long()
LAST = torch.rand(5, 16, 16, 1)  # the channel
PROBS = LAST[..., 0]
BETTER = (LABELS + PROBS) / 2
PAIRS = [*zip(BETTER, LABELS)]


def test_images_and_volumes_of_a_list_are_what_they_seem(recwarn):
    fit_calibrator([*BETTER[:, None]], [*LABELS[:, None]])
    fit_calibrator((image[None], label[None]) for image, label in PAIRS)
    fit_calibrator([BETTER] * 5, [LABELS] * 5)
    assert not [w for w in recwarn if 'one volume' in str(w.message)]


SAID = {
    r'all logits are in \[0, 1\]': lambda: HALVING.logits(torch.rand(8, 8)),
    'call eval': lambda: fit_calibrator(BETTER, LABELS, network=nn.BatchNorm2d(1)),
    'is read as one volume': lambda: fit_calibrator((BETTER, LABELS) for _ in range(5)),
    'is in training mode': lambda: HALVING.wrap(nn.BatchNorm2d(1))(
        LABELS[:, None] - 0.5
    ),
}


@pytest.mark.parametrize('words', SAID)
def test_python_that_is_probably_wrong(words):
    with pytest.warns(UserWarning, match=words):
        SAID[words]()


SOFTMAX = torch.rand(5, 2, 16, 16).softmax(1)
SOFTMAX_AS_LOGITS = {
    'judge_batch': lambda: fit_calibrator(SOFTMAX[:, 1], LABELS).judge_batch(
        SOFTMAX, logits=True
    ),
    'wrap': lambda: HALVING.wrap(nn.Identity())(SOFTMAX),
    'fit': lambda: fit_calibrator(SOFTMAX, LABELS, logits=True),
}


@pytest.mark.parametrize('door', SOFTMAX_AS_LOGITS)
def test_a_softmax_in_the_place_of_logits(door):
    with pytest.warns(UserWarning, match='if they are probabilities'):
        SOFTMAX_AS_LOGITS[door]()


def test_an_exported_network_is_not_looked_at(recwarn):
    given = torch.rand(1, 1, 4, 4)
    wrapped = HALVING.wrap(nn.Identity())
    traced = torch.jit.trace(wrapped, given, check_trace=False)
    assert not [w for w in recwarn if 'probabilities' in str(w.message)]
    assert traced(torch.zeros(2, 1, 8, 8)).shape == (2, 1, 8, 8)


OF_IMAGES = replace(HALVING, record={'axes': 2})
TWO_LOGITS = torch.randn(2, 2, 16, 16)
MIRRORED = torch.stack([-PROBS[0], PROBS[0] - 0.2]) * 4
GROUPS = [*'abcde']


def judging():
    """A calibrator that was fitted to maps of one channel."""
    return fit_calibrator(BETTER, LABELS)


def test_a_fit_to_masks_says_so():
    label = np.zeros((12, 16, 16))
    label[:, 4:12, 4:12] = 1
    with pytest.raises(ValueError, match='probabilities are 0 or 1, as in masks'):
        fit_calibrator(np.roll(label, 1, 1), label)


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (lambda: IDENTITY.masks(SMALL_PROB[0], logits='no'), 'logits must be'),
        (lambda: IDENTITY.wrap(torch.nn.Identity(), with_raw='no'), 'with_raw must be'),
        (lambda: IDENTITY.scores(SMALL_PROB[0], SMALL_LABEL[0] * 7), 'label contains'),
        (
            lambda: IDENTITY.scores(SMALL_PROB[0], SMALL_LABEL[0].reshape(2, 8)),
            'they must have one',
        ),
        (
            lambda: fit_calibrator(SMALL_PROB, SMALL_LABEL, groups=KEYS),
            '8 images of 4 groups',
        ),
        (
            lambda: fit_calibrator(SMALL_PROB, SMALL_LABEL, groups=[*KEYS]),
            '8 images of 4 groups',
        ),
        (
            lambda: fit_calibrator(SMALL_PROB, SMALL_LABEL, groups=KEYS / 0),
            'groups must be',
        ),
        (lambda: Decisions().least_probability(keep_real=2), 'keep_real must be'),
        (lambda: Decisions().least_probability(max_false=np.nan), 'max_false must'),
        (lambda: IDENTITY.save('x.json', overwrite='no'), 'overwrite must be'),
        (lambda: HALVING.wrap(nn.Conv2d(1, 3, 1))(torch.rand(1, 1, 4, 4)), '3 chan'),
        (lambda: HALVING.masks(torch.full((4, 4), 7.0), 'keep'), 'prob must be in'),
        (lambda: HALVING.wrap(HALVING.wrap(nn.Identity())), 'is not wrapped'),
        (
            lambda: HALVING.wrap(nn.Sequential(HALVING.wrap(nn.Identity()))),
            'is not wrapped',
        ),
        (lambda: HALVING(torch.rand(8, 8, 3)), '3 pixels wide'),
        (lambda: Calibrator.load(None), 'file must be'),
        (lambda: HALVING(torch.rand(2, 8, 8, 1)), '1 pixels wide'),
        (lambda: fit_calibrator(LAST, LAST.round().long()), '1 pixels wide'),
        (
            lambda: fit_calibrator(SOFTMAX, torch.stack([1 - LABELS, LABELS], 1)),
            'is one-hot',
        ),
        (
            lambda: Calibrator('platt', 'single', 'probability', [([-9, 9], [-5, 5])])(
                SOFTMAX
            ),
            'are calibrated together',
        ),
        (
            lambda: replace(HALVING, record={'axes': 2}).wrap(nn.Identity())(
                torch.randn(1, 1, 4, 8, 8)
            ),
            'for a calibrator of volumes',
        ),
        (
            lambda: fit_calibrator(LAST[..., 0], LABELS, groups=dict(a=1)),
            'and not a dict',
        ),
        (
            lambda: fit_calibrator(PROBS, LABELS, groups=np.zeros((5, 2))),
            'groups must be',
        ),
        (lambda: fit_calibrator(PROBS, LABELS, network=[0.5] * 99), 'got .{,100}$'),
        (lambda: fit_calibrator([dict(map=PROBS, mask=LABELS)]), 'pairs of a map'),
        (lambda: fit_calibrator(PROBS, LABELS * 0 + 255), 'are ignored'),
        (lambda: fit_calibrator([], []), 'or there are none'),
        (
            lambda: CalibrationTables().update(PROBS[0], LABELS[0], key=1.5),
            'key must be',
        ),
        (lambda: judging().logits(TWO_LOGITS), 'are calibrated together'),
        (
            lambda: judging().masks(TWO_LOGITS, 'keep', logits=True),
            'are calibrated together',
        ),
        (lambda: judging().logits(MIRRORED), 'are calibrated together'),
        (
            lambda: fit_calibrator(DataLoader(PAIRS, shuffle=True), groups=GROUPS),
            'the loader shuffles',
        ),
        (
            lambda: fit_calibrator(
                DataLoader(PAIRS, None, shuffle=True), groups=tuple(GROUPS)
            ),
            'the loader shuffles',
        ),
        (
            lambda: fit_calibrator(
                DataLoader(
                    PAIRS, None, sampler=BatchSampler(RandomSampler(PAIRS), 2, False)
                ),
                groups=GROUPS,
            ),
            'the loader shuffles',
        ),
        (lambda: fit_calibrator(HALVING(PROBS), LABELS), 'are calibrated'),
        (
            lambda: fit_calibrator([*map(HALVING, PROBS)], [*LABELS]),
            'are calibrated',
        ),
        (lambda: fit_calibrator(Path('maps'), Path('masks')), 'to `mmaslp fit`'),
        (lambda: fit_calibrator([*LABELS / 2] * 8, [*LABELS] * 7), 'only 35 labels'),
        (
            lambda: fit_calibrator([*LABELS / 2] * 7, iter([*LABELS] * 8)),
            'only 35 maps',
        ),
        (lambda: Calibrator.from_dict(None), "it lacks 'format'"),
        (lambda: dice_optimal_mask(torch.rand(2, 16, 16, 3)), '3 pixels wide'),
        (
            lambda: fit_calibrator(
                BETTER.repeat(2, 1, 1)[:9],
                torch.cat([LABELS[:4], LABELS[:6] * 0 + 255]),
            ),
            '^a fit to 4 images cannot',
        ),
        (
            lambda: fit_calibrator(
                torch.randn(5, 2, 16, 16),
                torch.stack([1 - LABELS, LABELS], 1),
                logits=True,
            ),
            'is one-hot',
        ),
        (lambda: OF_IMAGES.masks(torch.rand(3, 4, 4)), r'batch .* \(N, 1, H, W\)'),
        (lambda: (table := CalibrationTables()).merge(table), 'not itself'),
        (lambda: CalibrationTables().merge(3), 'not int'),
        (lambda: table_of(key=None).merge(table_of(key=0)), 'images without a key'),
        (lambda: table_of(key=0).merge(table_of(key=None)), 'give update the key'),
        (lambda: Calibrator.from_dict({'calibrator': None}), "its entry 'calibrator'"),
        (
            lambda: HALVING.wrap(nn.Sequential(nn.Flatten(), nn.Linear(16, 1)))(
                torch.rand(3, 1, 4, 4)
            ),
            'must return one tensor of logits',
        ),
        (
            lambda: Calibrator.from_dict(
                HALVING.to_dict() | dict(target='probability')
            ),
            "not those of the target 'probability'",
        ),
    ],
)
def test_python_that_is_wrong(call, words):
    with pytest.raises(ValueError, match=words):
        call()
