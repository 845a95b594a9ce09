import copy
import io
import json
import math
import pickle
import warnings

import pytest
import torch

from mmaslp.levels import BandLevels, ImageBandLevels, ImageLevels
from mmaslp.losses import SelfCalibratingBCE, targets
from mmaslp.metrics import BandTable

from .tables import Table

GAPS = [0.1, 0.08, 0.05, 0.02, 0.01]


def scene(shift=2):
    label = torch.zeros(64, 64)
    label[:, 20:50] = 1
    return 0.01 + 0.98 * label.roll(shift, 1), label


def test_levels_follow_the_table_of_a_validation():
    table = BandTable()
    table.update(*scene())
    figures = table.compute()
    levels = BandLevels()
    live = levels.levels
    levels.observe(table)
    assert min(figures['shares']) >= 0.01  # no band is thin
    gaps = [figures['gaps'][0], *figures['gaps'], figures['gaps'][-1]]
    for band, level in enumerate(levels.levels.tolist()):
        below, own, above = gaps[band : band + 3]
        step = 2 / 3 * (below + 2 * own + above) / 4
        most = min(2 * (1 - figures['accuracies'][band]), 0.98)
        assert level == pytest.approx(min(max(step, 0), most))
    assert levels.levels[0] > 0
    assert live is levels.levels
    assert levels.reason is None
    mean = (levels.levels @ torch.tensor(figures['shares']).double()).item()
    assert levels.mean_level == pytest.approx(mean)


def test_levels_of_another_kind_keep_the_guard_and_their_state():
    class Pooled(BandLevels):
        def follow(self, figures):
            return torch.full((5,), 0.3)

    levels = Pooled(warmup=1)
    levels.observe(Table(GAPS))
    assert not levels.levels.any()
    levels.observe(Table(GAPS))
    assert levels.levels.tolist() == pytest.approx([0.3] * 5)
    again = Pooled()
    again.load_state_dict(levels.state_dict())
    assert again.levels.tolist() == levels.levels.tolist()
    with pytest.raises(ValueError, match='not one of BandLevels'):
        BandLevels().load_state_dict(levels.state_dict())

    levels.observe(Table(GAPS, iou=0.0))
    levels.observe(Table(GAPS, iou=0.0))
    assert not levels.levels.any()


def test_levels_rest_in_the_warm_up_and_say_so():
    levels = BandLevels(warmup=2)
    assert 'has not seen a validation yet' in levels.reason
    for number in (1, 2):
        levels.observe(Table(GAPS))
        assert not levels.levels.any()
        assert f'warm-up of 2 validations, {number} are done' in levels.reason
    levels.observe(Table(GAPS))
    assert levels.levels[0] > 0
    assert levels.reason is None
    assert levels.validations == 3


def test_an_under_confident_network_keeps_levels_at_0():
    levels = BandLevels()
    levels.observe(Table([-0.05, -0.02, 0.0, -0.001, math.nan]))
    assert not levels.levels.any()
    assert 'fit a calibrator' in levels.reason
    assert levels.gaps[0] == -0.05


def test_masks_of_0_and_255_are_named_before_a_level_moves():
    prob, label = scene()
    table = BandTable()
    table.update(prob, label * 255)
    levels = BandLevels()
    with pytest.raises(ValueError, match=r'masks of 0 and 255 .*mask > 0'):
        levels.observe(table)
    assert not levels.levels.any()
    assert not levels.validations
    nothing = torch.zeros(12, 4, 4)
    levels.watch.see(nothing, nothing, nothing.bool())
    with pytest.raises(ValueError, match='all 12 training images'):
        levels.observe(Table(GAPS))


def test_a_resumed_run_is_the_uninterrupted_one():
    tables = [Table([gap * k for gap in GAPS], iou=0.6 + 0.01 * k) for k in range(6)]
    whole, first, second = (BandLevels(warmup=1) for _ in range(3))
    for table in tables:
        whole.observe(table)
    for table in tables[:3]:
        first.observe(table)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(second.levels, first.levels)
    assert second.reason == first.reason
    for table in tables[3:]:
        second.observe(table)
    assert torch.equal(whole.levels, second.levels)
    assert whole.state_dict() == second.state_dict()


@pytest.mark.parametrize('of_kind', [BandLevels, ImageBandLevels])
def test_a_state_is_strict_json_before_and_after_a_band_without_pixels(of_kind):
    tables = [Table([math.nan, *GAPS[1:]]), Table(GAPS)]
    first, second = of_kind(), of_kind()
    for table in tables:
        second.load_state_dict(
            json.loads(json.dumps(first.state_dict(), allow_nan=False))
        )
        for levels in (first, second):
            levels.observe(table)
        assert torch.equal(first.levels, second.levels)
        assert repr(first._recent) == repr(second._recent)  # nan too
        assert first._best == second._best


def test_a_state_may_hold_what_is_not_known_as_older_ones_do():
    source, levels = BandLevels(), BandLevels()
    source.observe(Table([math.nan, *GAPS[1:]]))
    older = source.state_dict()
    older['recent'][0]['gaps'][0] = math.nan
    older['best'] = dict(iou=-math.inf, iou_se=math.nan, acc=0.9, acc_se=0.01)
    levels.load_state_dict(older)
    state = levels.state_dict()
    assert state['recent'] == source.state_dict()['recent']
    assert state['best'] == dict(iou=None, iou_se=None, acc=0.9, acc_se=0.01)


def test_a_state_may_hold_a_tensor_as_older_ones_do():
    source, levels = BandLevels(), BandLevels()
    source.observe(Table(GAPS))
    levels.load_state_dict({**source.state_dict(), 'levels': source.levels})
    assert levels.state_dict() == source.state_dict()


@pytest.mark.parametrize(
    ('damage', 'match'),
    [
        (lambda s: s.pop('recent'), 'is damaged'),
        (lambda s: s.update(levels=torch.full((5,), 2.0)), 'levels must be'),
        (lambda s: s.update(levels=torch.zeros(4)), 'levels must be'),
        (lambda s: s.update(version=2), 'or of another version'),
        (lambda s: s.update(ImageLevels(['a']).state_dict()), 'not one of BandL'),
    ],
)
def test_states_that_do_not_fit_change_nothing(damage, match):
    source, levels = BandLevels(), BandLevels()
    source.observe(Table(GAPS))
    state = source.state_dict()
    damage(state)
    with pytest.raises(ValueError, match=match):
        levels.load_state_dict(state)
    assert not levels.levels.any()
    assert not levels.validations


@pytest.mark.parametrize(
    'copied', [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_levels_and_losses_are_copied_after_a_validation(copied):
    levels = BandLevels()
    table = BandTable()
    table.update(*scene())
    levels.observe(table)
    loss = copied(SelfCalibratingBCE(levels))
    assert loss.levels is not levels
    assert torch.equal(loss.levels.levels, levels.levels)
    assert loss.target.levels is loss.levels
    with pytest.raises(ValueError, match='holds the last validation too'):
        levels.observe(table)


def test_observe_refuses_a_metric_in_the_place_of_its_counter():
    pytest.importorskip('torchmetrics', reason='needs the extra [integrations]')
    from mmaslp.integrations.torchmetrics import BinaryBandCalibration

    metric = BinaryBandCalibration()
    metric.update(torch.full((1, 8, 8), 0.9), torch.ones(1, 8, 8, dtype=torch.long))
    with pytest.raises(ValueError, match='or the counter of a metric'):
        BandLevels().observe(metric)


def stripe():
    """Logits that a loss can be taken of, and labels."""
    labels = torch.zeros(1, 8, 8)
    labels[:, 4:] = 1
    return torch.zeros(1, 1, 8, 8, requires_grad=True), labels


def validate(levels, logits, labels):
    table = BandTable()
    table.update(logits.detach().sigmoid()[:, 0], labels)
    levels.observe(table)


def test_batches_are_counted_until_the_first_validation(monkeypatch):
    monkeypatch.setattr(targets, 'MANY_BATCHES', 3)
    levels = BandLevels()
    criterion = SelfCalibratingBCE(levels)
    logits, labels = stripe()
    with pytest.warns(UserWarning, match='3 batches have passed'):
        for _ in range(3):
            criterion(logits, labels)
    validate(levels, logits, labels)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for _ in range(9):
            criterion(logits, labels)


@pytest.mark.parametrize('held', [False, True])
def test_levels_that_no_trained_loss_holds_are_said_once(held):
    levels = BandLevels()
    criterion = SelfCalibratingBCE(levels if held else None)
    logits, labels = stripe()

    def epoch():
        criterion(logits, labels)
        validate(levels, logits, labels)

    criterion.eval()  # forgotten after the first validation
    epoch()
    with pytest.warns(UserWarning, match='two validations came without a batch'):
        epoch()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        epoch()


def test_a_validation_before_the_training_is_quiet():
    levels = BandLevels()
    criterion = SelfCalibratingBCE(levels)
    logits, labels = stripe()
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for _ in range(4):
            validate(levels, logits, labels)
            criterion.train()(logits, labels)
            criterion.eval()(logits, labels)


def test_a_refused_validation_leaves_the_figures():
    levels = BandLevels()
    label = torch.zeros(20, 16, 16)
    label[..., 8:] = 1
    table = BandTable()
    table.update(0.1 + 0.8 * label, label)
    levels.observe(table)
    before = levels.figures
    with pytest.raises(ValueError, match='contains no pixel'):
        levels.observe(BandTable())
    assert levels.figures is before


@pytest.mark.parametrize('level', [-0.4, 1.7])
def test_levels_of_another_kind_stay_in_their_range(level):
    """What ``follow`` returns may be anything; a label stays between 0 and 1."""

    class Pooled(BandLevels):
        def follow(self, figures):
            return torch.full((5,), level)

    levels = Pooled(warmup=0)
    levels.observe(Table(GAPS))
    assert levels.levels.min() >= 0
    assert levels.levels.max() <= 0.98
