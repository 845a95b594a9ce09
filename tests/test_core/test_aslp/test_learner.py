import io
import logging

import numpy as np
import pytest
import torch

from mmaslp.core import (
    ASLP,
    FB,
    MC,
    ME,
    BandTable,
    CalibrationHistogram,
    Measured,
    SelfCalibratingBCE,
    update_alpha,
)

IDS = [f'images/{i}.png' for i in range(6)]


def margins(draw, values):
    """Leave margins in a draw, as a loss does."""
    draw.record(torch.tensor(values))
    return draw


def learner(**options):
    return ASLP(IDS, **{'rule': MC(eta=0.01, lam=10.0), 'alpha': 0.1, **options})


def stepped(aslp, names, values, step=0):
    return aslp.update(margins(aslp.draw(names, step), values))


def test_levels_move_by_the_rule():
    aslp = learner()
    aslp.observe(0.9)
    stepped(aslp, IDS[1:3], [2.0, -1.0])
    expected = update_alpha(
        torch.tensor([0.1, 0.1], dtype=torch.float64),
        torch.tensor([2.0, -1.0]),
        accuracy=0.9,
        beta=2.0,
        eta=0.01,
        lam=10.0,
    )
    levels = aslp.levels
    assert [levels[i] for i in IDS[1:3]] == pytest.approx(expected.tolist())
    assert all(levels[i] == 0.1 for i in (IDS[0], *IDS[3:]))


def test_default_is_feedback_without_levels():
    aslp = ASLP(IDS)
    assert aslp.rule == FB() and set(aslp.levels.values()) == {0.0}
    aslp.observe(accuracy=0.9, confidence=0.95)
    stepped(aslp, IDS[:2], [1.0, 3.0])
    # k / (1 + k) * 2 / beta * 0.05, shared out 1 : 3 about the mean
    levels = [aslp.levels[i] for i in IDS[:2]]
    assert levels == pytest.approx([0.0125, 0.0375])


def test_nothing_moves_in_warm_up_or_before_a_validation():
    aslp = learner(warmup=5)
    stepped(aslp, IDS[:2], [1.0, 1.0], step=7)
    aslp.observe(0.9)
    stepped(aslp, IDS[:2], [1.0, 1.0], step=4)
    assert set(aslp.levels.values()) == {0.1}
    stepped(aslp, IDS[:2], [1.0, 1.0], step=5)
    assert aslp.levels[IDS[0]] != 0.1


def test_draws_depend_on_seed_step_and_image_alone():
    one, other = learner(alpha=0.4), ASLP(reversed(IDS * 2), alpha=0.4, rule='fixed')
    draws = [one.draw(IDS, step).perturbed for step in range(200)]
    for step, draw in enumerate(draws):
        assert torch.equal(draw, other.draw(IDS, step).perturbed)
        backwards = one.draw(IDS[::-1], step).perturbed
        assert torch.equal(draw, backwards.flip(0))
    share = torch.stack(draws).float().mean(0)
    assert share.tolist() == pytest.approx([0.4] * 6, abs=0.12)
    reseeded = [learner(alpha=0.4, seed=1).draw(IDS, s).perturbed for s in range(9)]
    assert not all(torch.equal(a, b) for a, b in zip(draws, reseeded))


def test_an_image_that_comes_twice_moves_once_by_its_mean_margin():
    twice, once = learner(), learner()
    for aslp in (twice, once):
        aslp.observe(0.99)
    stepped(twice, [IDS[0], IDS[1], IDS[0]], [1.0, 5.0, 3.0])
    stepped(once, IDS[:2], [2.0, 5.0])
    assert twice.levels == pytest.approx(once.levels)


def test_images_that_are_not_finite_are_left_out_and_named(caplog):
    aslp = learner()
    aslp.observe(0.99)
    with caplog.at_level(logging.WARNING, logger='mmaslp'):
        left_out = stepped(aslp, IDS[:3], [1.0, float('nan'), float('inf')])
    assert left_out == IDS[1:3]
    assert f'not finite in 2 image(s) of the batch, whose levels stay: {IDS[1]}' in (
        caplog.text
    )
    assert aslp.levels[IDS[0]] != 0.1
    assert [aslp.levels[i] for i in IDS[1:3]] == [0.1, 0.1]
    assert stepped(aslp, IDS[:3], [1.0, 1.0, 1.0]) == []


def test_a_loss_that_was_not_given_the_draw():
    with pytest.raises(ValueError, match=r'as criterion\(logits, labels, draw\)'):
        learner().update(learner().draw(IDS[:1], 0))


def test_ids_that_are_not_known_or_no_strings():
    aslp = learner()
    with pytest.raises(ValueError, match=r"'elsewhere\.png', which is no image of the"):
        aslp.draw([IDS[0], 'elsewhere.png'], 0)
    with pytest.raises(ValueError, match='ids must be strings'):
        aslp.draw([3], 0)
    with pytest.raises(ValueError, match='ids must be strings'):
        ASLP([1, 2])
    with pytest.raises(ValueError, match='ids is empty'):
        ASLP([])


@pytest.mark.parametrize('step', [-1, 1.5, '3', None, True])
def test_bad_steps(step):
    with pytest.raises(ValueError, match='step must be'):
        learner().draw(IDS[:1], step)


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(rule='FBX'), 'rule must be one of MC, ME, FB, fixed'),
        (dict(beta=2.5), r'beta must be a number in \(0, 2\]'),
        (dict(alpha=0.5), 'would flip the expected label'),
        (dict(alpha=-0.1), 'alpha must be a number'),
        (dict(seed=1.5), 'seed must be an integer'),
        (dict(warmup=-1), 'warmup must be a number of at least 0'),
        (dict(visits=0), 'visits must be a number above 0'),
    ],
)
def test_bad_options(options, match):
    with pytest.raises(ValueError, match=match):
        learner(**options)


def test_a_histogram_tells_all_that_was_measured():
    histogram = CalibrationHistogram()
    histogram.update(
        torch.tensor([0.9, 0.8, 0.3, 0.6]), torch.tensor([1, 0, 0, 1], dtype=torch.long)
    )
    aslp = learner(rule=FB(gap='median'))
    aslp.observe(histogram)
    metrics = histogram.compute()
    assert aslp.measured == Measured(
        accuracy=0.75, confidence=metrics['conf'], median_gap=metrics['median_gap']
    )


def test_a_table_by_region_tells_all_that_levels_by_region_need():
    label = torch.zeros(64, 64)
    label[:, 20:] = 1
    table = BandTable()
    table.update(0.02 + 0.9 * label.roll(2, 1), label)
    bands = table.compute()
    aslp = learner(rule='FB', regions='border')
    aslp.observe(table, step=0)
    found = aslp.measured
    assert found.accuracy == pytest.approx(1 - 4 / 64)  # wrong at both ends of the roll
    assert found.confidence == pytest.approx(
        sum(s * c for s, c in zip(bands['shares'], bands['confidences']))
    )
    assert found.region_gaps[-1] == pytest.approx(tuple(bands['gaps']))
    assert found.region_share == tuple(bands['shares'])
    assert found.region_accuracy == tuple(bands['accuracies'])
    assert aslp.profile[0] > 0.1


def test_a_table_of_other_bands_is_refused():
    table = BandTable(edges=(2, 4, 8, 16))
    table.update(torch.full((8, 8), 0.9), torch.ones(8, 8))
    with pytest.raises(ValueError, match=r'this table has \(2.0, 4.0, 8.0, 16.0\)'):
        learner(rule='FB', regions='border').observe(table)


def test_values_beside_a_histogram_are_not_lost():
    histogram = CalibrationHistogram()
    histogram.update(torch.tensor([0.9, 0.8]), torch.tensor([1, 0]))
    aslp = learner(rule='FB', regions='border')
    with pytest.raises(ValueError, match=r'need region_gap .* observe\(table\)'):
        aslp.observe(histogram)
    aslp.observe(histogram, region_gap=[0.1] * 5, confidence=0.7)
    assert aslp.measured.accuracy == 0.5
    assert aslp.measured.confidence == 0.7
    assert aslp.measured.region_gaps[-1] == (0.1,) * 5


@pytest.mark.parametrize(
    ('rule', 'figures', 'match'),
    [
        ('FB', dict(accuracy=0.9), 'needs confidence of the validation'),
        (FB(gap='median'), dict(accuracy=0.9, confidence=0.9), 'needs median_gap'),
        ('MC', dict(accuracy=None), 'needs accuracy'),
        ('MC', dict(accuracy='0.9'), 'needs accuracy of the validation, a number'),
        ('MC', dict(accuracy=90.0), r'accuracy must be .*a fraction'),
        ('FB', dict(accuracy=0.9, confidence=95.0), r'confidence must be .*a fraction'),
    ],
)
def test_figures_that_are_missing_or_out_of_range(rule, figures, match):
    with pytest.raises(ValueError, match=match):
        learner(rule=rule).observe(**figures)


def test_an_undefined_figure_leaves_those_of_before(caplog):
    aslp = learner()
    aslp.observe(0.9)
    aslp.observe(float('nan'))
    aslp.observe(float('inf'))
    assert aslp.measured == Measured(0.9)
    assert 'the validation measured accuracy=nan: the levels go on with' in caplog.text


def test_landmark_of_me_is_kept_over_validations():
    aslp = learner(rule=ME(landmark='warmup'), warmup=3)
    for step, (accuracy, landmark) in enumerate([(0.8, 0.8), (0.9, 0.9), (0.7, 0.9)]):
        aslp.observe(accuracy, step=2 * step)
        assert aslp.measured.landmark == landmark
    assert aslp.observed_step == 4


def test_an_unstable_rule_is_said_at_once(caplog):
    learner(rule=MC(solver='explicit'))
    assert 'is not stable at lam 2000' in caplog.text


def run(aslp, steps, network=0.0):
    """Train a scalar 'network'; what it does depends on the draws and the levels."""
    criterion = SelfCalibratingBCE('HI')
    labels = torch.ones(3, 2, 2)
    weight = torch.tensor(network, requires_grad=True)
    for step in steps:
        names = [IDS[(step + k) % 6] for k in range(3)]
        draw = aslp.draw(names, step)
        logits = weight * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1).expand(3, 2, 2)
        criterion(logits, labels, draw).backward()
        with torch.no_grad():
            weight -= 0.5 * weight.grad
        weight.grad = None
        aslp.update(draw)
        if step % 3 == 2:
            confidence = torch.sigmoid(2 * weight.detach().abs()).item()
            aslp.observe(accuracy=0.7, confidence=confidence)
    return weight.item()


@pytest.mark.parametrize('rule', ['FB', 'MC', ME(landmark='best')])
def test_a_resumed_run_is_the_uninterrupted_one_bit_by_bit(rule):
    whole = ASLP(IDS, rule=rule, seed=3, warmup=4)
    end = run(whole, range(30))
    first = ASLP(IDS, rule=rule, seed=3, warmup=4)
    middle = run(first, range(17))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = ASLP(IDS, rule=rule, warmup=4)  # the seed comes from the state
    assert second.load_state_dict(torch.load(file, weights_only=True)) == 6
    assert run(second, range(17, 30), middle) == end
    assert second.levels == whole.levels
    ours, theirs = second.state_dict(), whole.state_dict()
    assert all(torch.equal(ours.pop(k), theirs.pop(k)) for k in ('alpha', 'ids'))
    assert ours == theirs


def test_state_of_other_images(caplog):
    aslp = learner()
    aslp.observe(0.9)
    stepped(aslp, IDS[:2], [1.0, 2.0])
    other = ASLP([*IDS[:2], 'new.png'], rule=MC(eta=0.01, lam=10.0), alpha=0.1)
    assert other.load_state_dict(aslp.state_dict()) == 2
    assert other.levels['new.png'] == 0.1
    assert other.levels[IDS[1]] == aslp.levels[IDS[1]]
    assert '2 of the 3 training images are among the 6 of the state' in caplog.text


def test_settings_that_changed_and_levels_that_are_too_high_now(caplog):
    aslp = ASLP(IDS, beta='M', rule='fixed', alpha=0.9)
    other = ASLP(IDS, beta='HI', rule='fixed', alpha=0.1)
    other.load_state_dict(aslp.state_dict())
    assert set(other.levels.values()) == {0.49}
    assert 'beta 1.0 -> 2.0' in caplog.text and 'alpha 0.9 -> 0.1' in caplog.text
    assert '6 resumed levels would flip the expected label' in caplog.text


@pytest.mark.parametrize(
    'damage',
    [
        lambda s: s.update(alpha=s['alpha'][:3]),
        lambda s: s.update(alpha=s['alpha'] * float('nan')),
        lambda s: s.pop('ids'),
        lambda s: s.pop('seed'),
        lambda s: s.update(version=1),
        lambda s: s.update(settings=None),
        lambda s: s.update(accuracy=3.0),
        lambda s: s.update(seed='0'),
    ],
)
def test_a_damaged_state_changes_nothing(damage):
    source = learner()
    source.observe(0.5)
    stepped(source, IDS[:2], [9.0, 9.0])
    state = dict(source.state_dict())
    damage(state)
    aslp = learner(seed=7)
    with pytest.raises(ValueError, match='the state of ASLP is damaged'):
        aslp.load_state_dict(state)
    assert set(aslp.levels.values()) == {0.1}
    assert aslp.seed == 7 and aslp.measured is None


def test_the_levels_of_a_state_are_live():
    aslp = learner()
    state = aslp.state_dict()
    aslp.observe(0.99)
    stepped(aslp, IDS, [1.0] * 6)
    assert torch.equal(state['alpha'], aslp.alpha)
    assert sorted(aslp.levels) == IDS
    assert np.isfinite(list(aslp.levels.values())).all()
    assert repr(aslp).startswith('ASLP(6 images, beta=2, rule=MC(')


GAPS = [0.06, 0.02, -0.02, float('nan'), 0.0]
SHARES = [0.4, 0.3, 0.2, 0.0, 0.1]


def by_region(**options):
    return ASLP(IDS, **{'rule': 'FB', 'alpha': 0.1, 'regions': 'border', **options})


def test_each_band_follows_its_own_gap():
    aslp = by_region()
    aslp.observe(0.9, 0.95, region_gap=GAPS, region_share=SHARES)
    # k / (1 + 2 k) * 2 / beta = 1 / 3 of half the gap and a quarter of both beside it;
    # the band without pixels shares its neighbour's
    moved = [0.05, 0.02, -0.005, -0.005, 0.0]
    expected = [0.1 + gap / 3 for gap in moved]
    assert aslp.profile.tolist() == pytest.approx(expected)
    draw = aslp.draw(IDS[:2], 3)
    mean = sum(level * share for level, share in zip(expected, SHARES))
    assert draw.levels.tolist() == [pytest.approx([*expected, mean])] * 2
    stepped(aslp, IDS[:2], [1.0, 5.0], step=3)
    assert set(aslp.levels.values()) == {1.0}


def test_levels_by_region_stay_in_their_range_and_wait_for_the_warm_up():
    aslp = by_region(warmup=10)
    aslp.observe(0.9, 0.95, region_gap=[0.1, -0.1, 0.0, 0.0, 0.0], step=9)
    assert set(aslp.profile.tolist()) == {0.1}
    for _ in range(40):
        aslp.observe(0.9, 0.95, region_gap=[0.1, -0.1, 0.0, 0.0, 0.0], step=10)
    assert aslp.profile.tolist() == pytest.approx([0.49, 0.0, 0.0, 0.1, 0.1])


def test_state_of_levels_by_region():
    aslp = by_region()
    aslp.observe(0.9, 0.95, region_gap=[0.1] * 5, region_share=SHARES)
    file = io.BytesIO()
    torch.save(aslp.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    other = by_region(alpha=0.0)
    other.load_state_dict(state)
    assert torch.equal(other.profile, aslp.profile)
    assert other.measured == aslp.measured
    assert set(other.levels.values()) == {1.0}
    one, same = aslp.draw(IDS, 7), other.draw(IDS, 7)
    assert torch.equal(one.perturbed, same.perturbed)
    with pytest.raises(ValueError, match=r"it has levels by region.*regions='border'"):
        learner().load_state_dict(state)
    with pytest.raises(ValueError, match='it has one level per image'):
        other.load_state_dict(learner().state_dict())
    with pytest.raises(ValueError, match='its profile is'):
        other.load_state_dict(dict(state, profile=torch.full((5,), 2.0)))


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(regions='size'), "regions must be 'border' or None, got 'size'"),
        (dict(rule='MC'), r'needs a rule that moves levels by region \(FB\), not MC'),
    ],
)
def test_bad_regions(options, match):
    with pytest.raises(ValueError, match=match):
        by_region(**options)


@pytest.mark.parametrize(
    ('gaps', 'shares', 'match'),
    [
        (None, SHARES, 'levels by region need region_gap of the validation, 5 numbers'),
        ([0.1] * 3, SHARES, 'levels by region need region_gap'),
        ([5.0] * 5, SHARES, r'numbers in \[-1, 1\]'),
        (GAPS, [0.25] * 4, 'levels by region need region_share'),
        (GAPS, [-0.1] * 5, r'numbers in \[0, 1\]'),
    ],
)
def test_regions_that_are_missing_or_out_of_range(gaps, shares, match):
    aslp = by_region(warmup=5)
    with pytest.raises(ValueError, match=match):
        aslp.observe(0.9, 0.95, region_gap=gaps, region_share=shares)
    assert aslp.measured is None


def test_regions_take_the_mean_gap():
    with pytest.raises(ValueError, match='takes the mean gap of each band'):
        by_region(rule=FB(gap='median'))


@pytest.mark.parametrize(('gain', 'said'), [(0.49, False), (0.5, True)])
def test_an_explicit_gain_by_region_that_is_not_stable_is_said(caplog, gain, said):
    by_region(rule=FB(gain=gain, solver='explicit'))
    assert ('take a gain below 0.5' in caplog.text) == said


def test_a_run_saved_before_its_validation_knows_its_steps():
    aslp = by_region(warmup=10)
    aslp.draw(IDS[:1], 19)
    state = aslp.state_dict()
    other = by_region(warmup=10)
    other.load_state_dict(state)
    for each in (aslp, other):
        each.observe(0.9, 0.95, region_gap=[0.06] * 5)
        assert each.observed_step == 20
    assert torch.equal(aslp.profile, other.profile) and aslp.profile[0] > 0.1


def test_a_state_of_another_rule_waits_for_a_validation():
    aslp = learner()
    aslp.observe(0.9)
    other = ASLP(IDS, rule='FB', alpha=0.1)
    other.load_state_dict(aslp.state_dict())
    assert other.measured is None
    assert stepped(other, IDS[:2], [1.0, 2.0]) == []


def test_steps_of_numpy():
    draw = learner(alpha=0.4).draw(IDS, np.int64(3))
    assert torch.equal(draw.perturbed, learner(alpha=0.4).draw(IDS, 3).perturbed)
