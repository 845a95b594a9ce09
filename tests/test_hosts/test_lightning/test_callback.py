"""Trainings of a tiny module with the real library."""

import logging
import multiprocessing
import os
import signal
import time

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler

pytest.importorskip('lightning', reason='needs the extra [integrations]')

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy

import tests.lightning_toy as toy
from mmaslp.core import ASLP
from mmaslp.hosts.lightning import ASLPCallback
from mmaslp.hosts.mmseg.losses import SCBCELoss
from mmaslp.hosts.torchmetrics import BinaryCalibration

pytestmark = pytest.mark.filterwarnings('ignore')


def content(path):
    return torch.load(path, weights_only=True)


def assert_bit_equal(one, other):
    """Weights, optimiser and levels of two checkpoints."""
    for key in ('state_dict', 'optimizer_states', 'callbacks'):
        left, right = (
            torch.utils._pytree.tree_leaves(
                {k: v for k, v in each[key].items() if 'Checkpoint' not in k}
                if key == 'callbacks'
                else each[key]
            )
            for each in (one, other)
        )
        assert len(left) == len(right) > 1
        for a, b in zip(left, right):
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def test_draws_move_levels_and_stop_at_the_end(tmp_path):
    model, callback = toy.train(tmp_path, 4)
    drawn = [value for _, values in model.draws for value in values]
    assert len(drawn) == 4 * 8 and 0 < sum(drawn) < len(drawn)
    levels = callback.aslp.levels
    assert levels.keys() == set(toy.Squares().names)
    # After one epoch of warm-up they moved down, each by its own margin.
    assert max(levels.values()) < 0.2 and len({*levels.values()}) == 8
    assert callback.aslp.observed_step == 16
    assert callback.aslp.measured.accuracy > 0.5
    assert model.criterion.draw is None  # a validation trains on no draw


def test_the_draws_are_those_of_the_learner(tmp_path):
    model, callback = toy.train(tmp_path, 2, callback=toy.make_callback(rule='fixed'))
    learner = ASLP(toy.Squares().names, rule='fixed', alpha=0.2)
    for step, (names, drawn) in enumerate(model.draws):
        assert learner.draw(names, step).perturbed.tolist() == drawn
    assert callback.state_dict()['step'] == len(model.draws) == 8


def test_a_resumed_run_ends_bit_equal(tmp_path):
    toy.train(tmp_path / 'whole', 4)
    toy.train(tmp_path / 'first', 2)
    toy.train(tmp_path / 'then', 4, tmp_path / 'first' / 'epoch=1.ckpt')
    whole, then = (content(tmp_path / f / 'epoch=3.ckpt') for f in ('whole', 'then'))
    assert_bit_equal(whole, then)
    levels = whole['callbacks']['ASLPCallback']['aslp']['alpha']
    assert len(levels.unique()) > 1
    first = content(tmp_path / 'first' / 'epoch=1.ckpt')
    with pytest.raises(AssertionError):
        assert_bit_equal(whole, first)


def test_a_killed_run_resumes_bit_equal(tmp_path):
    process = multiprocessing.get_context('fork').Process(
        target=toy.train, args=(tmp_path / 'killed', 1000)
    )
    process.start()
    checkpoint = tmp_path / 'killed' / 'epoch=1.ckpt'
    deadline = time.monotonic() + 120
    # When there is a later one, this one is whole.
    while not checkpoint.with_name('epoch=2.ckpt').exists():
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    toy.train(tmp_path / 'then', 4, checkpoint)
    toy.train(tmp_path / 'whole', 4)
    assert_bit_equal(
        content(tmp_path / 'then' / 'epoch=3.ckpt'),
        content(tmp_path / 'whole' / 'epoch=3.ckpt'),
    )


class Unshuffled(toy.Segmenter):
    """Both processes together visit what one visits with twice the batch."""

    def __init__(self, folder, batch_size):
        super().__init__(dropout=0)
        self.folder, self.batch_size = folder, batch_size

    def loader(self, data, batch_size):
        places = dict(num_replicas=self.trainer.world_size, rank=self.global_rank)
        sampler = DistributedSampler(data, **places, shuffle=False)
        return DataLoader(data, batch_size, sampler=sampler)

    def train_dataloader(self):
        return self.loader(toy.Squares(noise=0), self.batch_size)

    def val_dataloader(self):
        return self.loader(toy.Squares(4, seed=1, noise=0), 1)

    def on_train_end(self):
        (callback,) = (c for c in self.trainer.callbacks if isinstance(c, ASLPCallback))
        saved = dict(
            alpha=callback.aslp.alpha,
            measured=repr(callback.aslp.measured.accuracy),
            draws=self.draws,
            weights=self.network.state_dict(),
        )
        torch.save(saved, self.folder / f'rank{self.global_rank}.pt')


def test_two_processes_equal_one(tmp_path):
    results = {}
    for name, options in dict(
        one=dict(devices=1),
        two=dict(
            devices=2,
            strategy=DDPStrategy(start_method='fork', process_group_backend='gloo'),
        ),
    ).items():
        folder = tmp_path / name
        folder.mkdir()
        torch.manual_seed(0)
        # In float64 no pixel of a validation changes its cell.
        options.update(precision='64-true', use_distributed_sampler=False)
        trainer = toy.make_trainer(folder, 3, toy.make_callback(), **options)
        trainer.fit(Unshuffled(folder, 4 // options['devices']))
        results[name] = [torch.load(path) for path in sorted(folder.glob('rank*.pt'))]
    (one,), (first, second) = results['one'], results['two']
    assert torch.equal(first['alpha'], second['alpha'])
    assert first['measured'] == second['measured']
    torch.testing.assert_close(first['alpha'], one['alpha'], rtol=0, atol=1e-7)
    assert len(one['alpha'].unique()) == 8
    for name, weight in one['weights'].items():
        torch.testing.assert_close(weight, first['weights'][name], rtol=0, atol=1e-12)
    for whole, *parts in zip(one['draws'], first['draws'], second['draws']):
        visits = [dict(zip(*each)) for each in (whole, *parts)]
        assert visits[0] == visits[1] | visits[2]


def test_levels_by_region(tmp_path):
    _, callback = toy.train(
        tmp_path,
        2,
        model=toy.Segmenter(regions=True),
        callback=toy.make_callback(rule='FB', regions='border', warmup_epochs=0),
    )
    profile = callback.aslp.profile
    assert len(profile) == 5 and (profile < 0.2).all()
    assert sum(callback.aslp.measured.region_share) == pytest.approx(1)
    saved = content(tmp_path / 'epoch=1.ckpt')['callbacks']['ASLPCallback']
    assert torch.equal(saved['aslp']['profile'], profile) and saved['step'] == 8


def test_the_warm_up_of_levels_by_region_is_a_third_of_the_training(tmp_path):
    def make():
        return toy.make_callback(rule='FB', regions='border', warmup_epochs=None)

    model = toy.Segmenter(regions=True)
    _, callback = toy.train(tmp_path, 6, model=model, callback=make())
    assert callback.aslp.warmup == 8  # an epoch has four batches
    with pytest.raises(ValueError, match='length is not known: give max_epochs'):
        toy.train(tmp_path, -1, model=model, callback=make(), max_steps=4)


def test_levels_are_logged(tmp_path):
    class Logged(toy.Segmenter):
        def on_train_end(self):
            self.seen = self.trainer.callback_metrics['aslp/alpha']

    model, _ = toy.train(
        tmp_path, 1, model=Logged(), callback=toy.make_callback(rule='fixed')
    )
    assert model.seen == pytest.approx(0.2)


def test_a_second_fit_goes_on(tmp_path):
    model, callback = toy.train(tmp_path, 2)
    before = callback.aslp
    toy.train(tmp_path, 1, model=model, callback=callback)
    assert callback.aslp is before and callback.state_dict()['step'] == 12


def test_a_validation_alone_changes_nothing(tmp_path):
    model, callback = toy.train(tmp_path, 1)
    before = callback.aslp.measured
    trainer = toy.make_trainer(tmp_path, 1, callback)
    trainer.validate(model, toy.loaders()[1], verbose=False)
    assert callback.aslp.measured is before


def test_a_checkpoint_without_levels_is_told_of(tmp_path, caplog):
    toy.make_trainer(tmp_path, 1).fit(Plain(), toy.loaders()[0])
    with caplog.at_level(logging.WARNING, 'mmaslp'):
        model = Plain()
        trainer = toy.make_trainer(tmp_path, 2, toy.make_callback(rule='fixed'))
        trainer.fit(model, toy.loaders()[0], ckpt_path=tmp_path / 'epoch=0.ckpt')
    assert 'holds no state of ASLPCallback' in caplog.text


class Plain(LightningModule):
    """A module without a metric."""

    def __init__(self, *losses):
        super().__init__()
        self.network = nn.Conv2d(3, 1, 1)
        self.losses = nn.ModuleList(losses or [SCBCELoss()])

    def training_step(self, batch, batch_idx):
        return self.losses[0](self.network(batch['image']), batch['mask'])

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(model, callback, **options):
    trainer = Trainer(
        fast_dev_run=True,
        accelerator='cpu',
        callbacks=[callback],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(model, *toy.loaders())


class TwoMetrics(Plain):
    def __init__(self):
        super().__init__()
        self.train_calibration = BinaryCalibration()
        self.val_calibration = BinaryCalibration()


class Silent(toy.Segmenter):
    def validation_step(self, batch, batch_idx):
        pass


class OtherLoss(toy.Segmenter):
    def training_step(self, batch, batch_idx):
        return self.network(batch['image']).mean()


@pytest.mark.parametrize(
    ('model', 'options', 'message'),
    [
        (lambda: Plain(nn.BCELoss()), {}, 'found no SCBCELoss in Plain: make one'),
        (
            lambda: Plain(SCBCELoss(beta=1.0), SCBCELoss()),
            {},
            'different strengths beta',
        ),
        (Plain, {}, r'BinaryCalibration .* Plain has none: make one'),
        (TwoMetrics, {}, 'train_calibration, val_calibration: .*name one of several'),
        (TwoMetrics, dict(metric='valid'), 'name one of several'),
        (
            toy.Segmenter,
            dict(rule='FB', regions='border'),
            'BinaryBandCalibration .* has none',
        ),
        (Silent, {}, 'has not updated it'),
        (OtherLoss, {}, 'no loss has left its margins'),
        (toy.Segmenter, dict(batch_ids='path'), "batch.'path'., which a batch with"),
        (toy.Segmenter, dict(batch_ids='mask'), 'no image of the training set'),
    ],
)
def test_what_cannot_train_says_what_to_do(model, options, message):
    with pytest.raises(ValueError, match=message):
        fit(model(), toy.make_callback(**options))


def test_the_named_metric_is_read():
    class Named(TwoMetrics):
        def validation_step(self, batch, batch_idx):
            self.val_calibration.update(0.3 + 0.4 * batch['mask'], batch['mask'])

    callback = toy.make_callback(metric='val_calibration')
    fit(Named(), callback)
    assert callback.aslp.measured.accuracy == 1


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(rule='FBX'), 'FBX'),
        (dict(warmup_epochs=-1), 'warmup_epochs must be a number of at least 0'),
        (dict(rule='MC', regions='border'), 'FB'),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        toy.make_callback(**options)
