import copy
import io
import logging

import pytest
import torch

from mmaslp.levels import MC, ME, ImageLevels, image
from mmaslp.losses import SelfCalibratingBCE, targets

from .reference import implicit_mc

IDS = [f'images/{i}.png' for i in range(6)]


def margins(sample, values):
    """Leave margins in a sample, as a loss does."""
    sample.record(torch.tensor(values))
    return sample


def learner(**options):
    return ImageLevels(IDS, **{'rule': MC(eta=0.01, lam=10.0), 'alpha': 0.1, **options})


def stepped(levels, names, values, step=None):
    step = levels.steps if step is None else step
    levels.update(margins(levels.sample(names, step), values))


def test_levels_move_by_the_rule():
    levels = learner()
    levels.observe(0.9)
    stepped(levels, IDS[1:3], [2.0, -1.0])
    expected = [
        implicit_mc(0.1, margin, accuracy=0.9, eta=0.01, lam=10.0)
        for margin in (2.0, -1.0)
    ]
    levels = levels.levels
    assert [levels[i] for i in IDS[1:3]] == pytest.approx(expected)
    assert all(levels[i] == 0.1 for i in (IDS[0], *IDS[3:]))


def test_nothing_moves_in_warm_up_or_before_a_validation():
    levels = learner(warmup=5)
    stepped(levels, IDS[:2], [1.0, 1.0], step=3)
    levels.observe(0.9)
    stepped(levels, IDS[:2], [1.0, 1.0], step=4)
    assert set(levels.levels.values()) == {0.1}
    stepped(levels, IDS[:2], [1.0, 1.0], step=5)
    assert levels.levels[IDS[0]] != 0.1


def test_samples_depend_on_seed_step_and_image_alone():
    one, other = (
        learner(alpha=0.4),
        ImageLevels(reversed(IDS), alpha=0.4, rule='fixed'),
    )
    backwards = learner(alpha=0.4)
    drawn = [one.sample(IDS, step).perturbed for step in range(200)]
    for step, each in enumerate(drawn):
        assert torch.equal(each, other.sample(IDS, step).perturbed)
        flipped = backwards.sample(IDS[::-1], step).perturbed
        assert torch.equal(each, flipped.flip(0))
    share = torch.stack(drawn).float().mean(0)
    assert share.tolist() == pytest.approx([0.4] * 6, abs=0.12)
    reseeded = learner(alpha=0.4, seed=1)
    again = [reseeded.sample(IDS, step).perturbed for step in range(9)]
    assert not all(torch.equal(a, b) for a, b in zip(drawn, again))


@pytest.mark.parametrize('name', ['a.png', 'deep/a.png'])
def test_a_data_set_gives_the_same_samples_wherever_it_lies(name):
    names = [name, 'images/b.png', *IDS]
    keys = []
    for folder in ('', '/data/', './elsewhere/here/'):
        ids = [folder + each for each in names]
        keys.append(ImageLevels(ids).sample(ids, 3).keys.tolist())
    assert keys[0] == keys[1] == keys[2]
    assert len({*keys[0]}) == len(names)


def test_an_image_that_comes_twice_moves_once_by_its_mean_margin():
    twice, once = learner(), learner()
    for levels in (twice, once):
        levels.observe(0.99)
    stepped(twice, [IDS[0], IDS[1], IDS[0]], [1.0, 5.0, 3.0])
    stepped(once, IDS[:2], [2.0, 5.0])
    assert twice.levels == pytest.approx(once.levels)


def test_images_that_are_not_finite_are_left_out_and_named(caplog):
    levels = learner()
    levels.observe(0.99)
    with caplog.at_level(logging.WARNING, logger='mmaslp'):
        stepped(levels, IDS[:3], [1.0, float('nan'), float('inf')])
    assert f'not finite in 2 image(s) of the batch, whose levels stay: {IDS[1]}' in (
        caplog.text
    )
    assert levels.levels[IDS[0]] != 0.1
    assert [levels.levels[i] for i in IDS[1:3]] == [0.1, 0.1]


def test_ids_that_are_not_known_or_no_strings():
    with pytest.raises(ValueError, match=r"'elsewhere\.png', which is not an image"):
        learner().sample([IDS[0], 'elsewhere.png'], 0)
    for ids, words in (([1, 2], 'ids must be strings'), ([], 'once, and one at')):
        with pytest.raises(ValueError, match=words):
            ImageLevels(ids)


def run(levels, steps, network=0.0):
    """Train a scalar 'network'; what it does depends on the samples and the levels."""
    criterion = SelfCalibratingBCE(levels)
    labels = torch.ones(3, 2, 2)
    weight = torch.tensor(network, requires_grad=True)
    for step in steps:
        names = [IDS[(step + k) % 6] for k in range(3)]
        sample = levels.sample(names, step)
        logits = weight * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1).expand(3, 2, 2)
        criterion(logits, labels, sample).backward()
        with torch.no_grad():
            weight -= 0.5 * weight.grad
        weight.grad = None
        levels.update(sample)
        if step % 3 == 2:
            confidence = torch.sigmoid(2 * weight.detach().abs()).item()
            levels.observe(accuracy=0.7, confidence=confidence)
    return weight.item()


@pytest.mark.parametrize('rule', ['FB', 'MC', ME(landmark='best')])
def test_a_resumed_run_is_the_uninterrupted_one_bit_by_bit(rule):
    whole = ImageLevels(IDS, rule=rule, seed=3, warmup=4)
    end = run(whole, range(30))
    first = ImageLevels(IDS, rule=rule, seed=3, warmup=4)
    middle = run(first, range(17))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = ImageLevels(IDS, rule=rule, warmup=4)  # the seed comes from the state
    assert second.load_state_dict(torch.load(file, weights_only=True)) == 6
    assert run(second, range(17, 30), middle) == end
    assert second.levels == whole.levels
    ours, theirs = second.state_dict(), whole.state_dict()
    assert torch.equal(ours.pop('alpha'), theirs.pop('alpha'))
    assert ours == theirs


def test_a_state_of_version_0_5_is_refused():
    state = learner(alpha=0.3).state_dict()
    with pytest.raises(ValueError, match=r'another version of mmaslp: train on from'):
        learner().load_state_dict({**state, 'version': 3})


def test_a_loss_takes_the_sample_that_waits_for_its_update():
    levels = learner(alpha=0.4)
    criterion = SelfCalibratingBCE(levels)
    batch = torch.ones(2, 1, 4, 4), torch.ones(2, 4, 4)
    sample = levels.sample(IDS[:2], 2)
    assert sample.perturbed.any()
    bce = SelfCalibratingBCE()(*batch)
    assert criterion(*batch) == criterion(*batch, sample) != bce
    assert sample.margin is not None
    levels.update(sample)
    with pytest.raises(ValueError, match='need the sample of the batch'):
        criterion(*batch)
    assert criterion.eval()(*batch) == bce


def test_a_loss_is_copied_with_its_levels():
    levels = learner(alpha=0.4, logger=logging.Logger('of a run'))
    levels.sample(IDS[:2], 2)
    copied = copy.deepcopy(SelfCalibratingBCE(levels))
    batch = torch.ones(2, 1, 4, 4), torch.ones(2, 4, 4)
    assert copied(*batch) == SelfCalibratingBCE(levels)(*batch)
    assert copied.levels.pending is not levels.pending


def test_levels_above_the_limit_of_another_strength_are_said(caplog):
    strong, weak = (ImageLevels(['a', 'b'], beta=beta) for beta in (0.6, 2.0))
    strong.alpha.copy_(torch.tensor([0.1, 0.8]))
    with caplog.at_level(logging.WARNING, logger='mmaslp'):
        weak.load_state_dict(strong.state_dict())
    limit = weak.rule.max_level(2.0)
    assert weak.alpha.tolist() == pytest.approx([0.1, limit])
    assert f'1 levels of the state are above {limit:g}, the most' in caplog.text


def test_state_of_other_images(caplog):
    levels = learner()
    levels.observe(0.9)
    stepped(levels, IDS[:2], [1.0, 2.0])
    other = ImageLevels([*IDS[:2], 'new.png'], rule=MC(eta=0.01, lam=10.0), alpha=0.1)
    assert other.load_state_dict(levels.state_dict()) == 2
    assert other.levels['new.png'] == 0.1
    assert other.levels[IDS[1]] == levels.levels[IDS[1]]
    assert '2 of the 3 training images are among the 6 of the state' in caplog.text


@pytest.mark.parametrize(
    'damage',
    [
        lambda s: s.update(alpha=s['alpha'][:3]),
        lambda s: s.update(alpha=s['alpha'] * float('nan')),
        lambda s: s.update(alpha=s['alpha'] + 1e6),
        lambda s: s.pop('ids'),
        lambda s: s.pop('seed'),
        lambda s: s.update(version=1),
        lambda s: s.update(validation=dict(accuracy=3.0)),
        lambda s: s.update(seed='0'),
        lambda s: s.update(alpha=[True, *s['alpha'].tolist()[1:]]),
        lambda s: s.update(ids=[s['ids'][0]] * len(s['ids'])),
        lambda s: s.update(ids=[*range(len(s['ids']))]),
        lambda s: s.update(steps=2.5),
    ],
)
def test_a_damaged_state_changes_nothing(damage):
    source = learner()
    source.observe(0.5)
    stepped(source, IDS[:2], [9.0, 9.0])
    state = dict(source.state_dict())
    damage(state)
    levels = learner(seed=7)
    with pytest.raises(ValueError, match='the state'):
        levels.load_state_dict(state)
    assert set(levels.levels.values()) == {0.1}
    assert levels.seed == 7
    assert levels.validation is None


def test_an_update_twice_or_with_the_last_sample():
    levels = learner()
    sample = margins(levels.sample(IDS[:2], 0), [1.0, 1.0])
    levels.update(sample)
    levels.sample(IDS[:2], 1)
    with pytest.raises(ValueError, match='update takes the last sample, once'):
        levels.update(sample)


@pytest.mark.parametrize('step', [3, 2])
def test_a_step_that_does_not_count_up(step):
    levels = learner()
    levels.sample(IDS[:1], 3)
    with pytest.raises(ValueError, match=f'step={step} comes after step=3'):
        levels.sample(IDS[:1], step)
    resumed = learner()
    resumed.load_state_dict(levels.state_dict())
    with pytest.raises(ValueError, match='comes after step=3'):
        resumed.sample(IDS[:1], step)


def test_a_loop_that_forgets_a_call_is_warned(recwarn, monkeypatch):
    monkeypatch.setattr(targets, 'MANY_BATCHES', 3)
    levels = learner()
    for _ in range(2):
        levels.count_batch()
    assert not recwarn
    with pytest.warns(UserWarning, match='3 batches have passed without observe'):
        levels.count_batch()
    fixed = ImageLevels(IDS, rule='fixed', alpha=0.1)
    observed = learner()
    observed.observe(0.9)
    for quiet in (fixed, observed):
        for _ in range(9):
            quiet.count_batch()
    assert not recwarn

    levels.sample(IDS, 12)
    with pytest.warns(UserWarning, match='a sample was not given to update'):
        levels.sample(IDS, 13)


@pytest.mark.parametrize('name', ['accuracy', 'ids'])
def test_processes_that_differ_are_refused(monkeypatch, name):
    def told_by(levels, accuracy):
        told = []
        monkeypatch.setattr(image, 'gathered', lambda part: [told.append(part) or part])
        levels.observe(accuracy)
        return told

    levels = learner()
    other = ImageLevels(IDS[:-1]) if name == 'ids' else learner()
    others = told_by(other, 0.9 if name == 'ids' else 0.8)
    monkeypatch.setattr(image, 'gathered', lambda part: [part, *others])
    with pytest.raises(ValueError, match='other images or other metrics'):
        levels.observe(0.9)

    for equal in (0.9, float('nan'), torch.tensor(0.5)):
        others[:] = told_by(learner(), equal)
        monkeypatch.setattr(image, 'gathered', lambda part: [part, *others])
        levels.observe(equal)
    assert levels.validation.accuracy == 0.5


def test_levels_that_go_on_trust_that_validations_come(recwarn, monkeypatch):
    monkeypatch.setattr(targets, 'MANY_BATCHES', 3)
    levels, resumed = learner(), learner()
    levels.observe(0.9)
    resumed.load_state_dict(levels.state_dict())
    for _ in range(9):
        resumed.count_batch()
    assert not recwarn


def test_names_may_come_from_an_iterator():
    drawn = [
        ImageLevels(IDS, alpha=0.4, rule='fixed').sample(names, 0)
        for names in (IDS, map(str, IDS), (name for name in IDS))
    ]
    for sample in drawn[1:]:
        assert torch.equal(sample.perturbed, drawn[0].perturbed)


def test_a_state_forgets_the_sample_before():
    levels = ImageLevels(IDS, alpha=0.4, rule='fixed')
    state = copy.deepcopy(levels.state_dict())
    levels.sample(IDS, 7)
    levels.load_state_dict(state)
    assert levels.pending is None
