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
from mmaslp.core import BorderLevels, SelfCalibratingBCE
from mmaslp.hosts.lightning import ASLPCallback
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
            same = isinstance(a, torch.Tensor) and torch.equal(a, b)
            assert same or repr(a) == repr(b)  # nan too


def test_draws_move_levels_and_stop_at_the_end(tmp_path):
    model, callback = toy.train(tmp_path, 4)
    drawn = [value for _, values in model.drawn for value in values]
    assert len(drawn) == 4 * 8 and 0 < sum(drawn) < len(drawn)
    levels = callback.levels.levels
    assert levels.keys() == set(toy.Squares().names)
    # After one epoch of warm-up they moved down, each by its own margin.
    assert max(levels.values()) < 0.2 and len({*levels.values()}) == 8
    assert callback.levels.steps == 16
    assert callback.levels.validation.accuracy > 0.5
    assert model.criterion.sample is None  # a validation trains on no sample


def test_a_resumed_run_ends_bit_equal(tmp_path):
    toy.train(tmp_path / 'whole', 4)
    toy.train(tmp_path / 'first', 2)
    toy.train(tmp_path / 'then', 4, tmp_path / 'first' / 'epoch=1.ckpt')
    whole, then = (content(tmp_path / f / 'epoch=3.ckpt') for f in ('whole', 'then'))
    assert_bit_equal(whole, then)
    levels = whole['callbacks']['ASLPCallback']['levels']['alpha']
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
            alpha=callback.levels.alpha,
            measured=repr(callback.levels.validation.accuracy),
            drawn=self.drawn,
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
    for whole, *parts in zip(one['drawn'], first['drawn'], second['drawn']):
        visits = [dict(zip(*each)) for each in (whole, *parts)]
        assert visits[0] == visits[1] | visits[2]


def test_levels_by_band_and_their_resume(tmp_path):
    def run(folder, epochs, checkpoint=None):
        callback = ASLPCallback(BorderLevels(warmup=1))
        torch.manual_seed(0)
        model = toy.Segmenter(by_band=True)
        return toy.train(tmp_path / folder, epochs, checkpoint, model, callback)

    model, callback = run('whole', 8)
    assert callback.levels.validations == 8 and not model.drawn
    assert model.criterion.levels is callback.levels
    run('first', 7)
    run('then', 8, tmp_path / 'first' / 'epoch=6.ckpt')
    whole, then = (content(tmp_path / f / 'epoch=7.ckpt') for f in ('whole', 'then'))
    assert_bit_equal(whole, then)
    assert not [key for key in whole['state_dict'] if 'criterion' in key]


def test_the_warm_up_by_default_is_a_third_of_the_validations(tmp_path):
    model, callback = toy.Segmenter(by_band=True), ASLPCallback()
    toy.train(tmp_path, 9, model=model, callback=callback)
    assert callback.levels.warmup == 3
    with pytest.raises(ValueError, match='length is not known: give max_epochs'):
        toy.train(
            tmp_path, -1, model=model, callback=ASLPCallback(), max_time='00:00:00:09'
        )


@pytest.mark.parametrize(
    ('levels', 'epochs', 'options', 'match'),
    [
        (None, 9, dict(limit_val_batches=0), 'and this training has none'),
        (None, 6, {}, 'of the 6 of this training 2 are warm-up'),
        (None, 40, dict(check_val_every_n_epoch=10), 'a lower val_check_interval'),
        (BorderLevels(warmup=50), 20, {}, 'of the 20 of this training 50 are'),
        ('image', 1, {}, 'their warm-up lasts 4 batches, the training 4'),
    ],
)
def test_levels_that_cannot_move_are_an_error(tmp_path, levels, epochs, options, match):
    image = levels == 'image'
    callback = toy.make_callback() if image else ASLPCallback(levels)
    with pytest.raises(ValueError, match=match):
        model = toy.Segmenter(by_band=not image)
        toy.train(tmp_path, epochs, model=model, callback=callback, **options)


def test_masks_of_0_and_255_are_named(tmp_path):
    class Masks(toy.Segmenter):
        def training_step(self, batch, batch_idx):
            return super().training_step(dict(batch, mask=255 * batch['mask']), 0)

        def validation_step(self, batch, batch_idx):
            super().validation_step(dict(batch, mask=255 * batch['mask']), 0)

    with pytest.raises(ValueError, match='map 0/255 masks to 0/1 first'):
        toy.train(tmp_path, 9, model=Masks(by_band=True), callback=ASLPCallback())


def test_a_checkpoint_without_levels_is_told_of(tmp_path, caplog):
    toy.make_trainer(tmp_path, 1).fit(Plain(), toy.loaders()[0])
    with caplog.at_level(logging.WARNING, 'mmaslp'):
        model = Plain()
        trainer = toy.make_trainer(tmp_path, 2, toy.make_callback('fixed'))
        trainer.fit(model, toy.loaders()[0], ckpt_path=tmp_path / 'epoch=0.ckpt')
    assert 'holds no state of ASLPCallback' in caplog.text


class Plain(LightningModule):
    """A module without a metric."""

    def __init__(self, *losses):
        super().__init__()
        self.network = nn.Conv2d(3, 1, 1)
        self.losses = nn.ModuleList(losses or [SelfCalibratingBCE()])

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


class Strong(toy.Segmenter):
    def __init__(self):
        super().__init__()
        self.criterion = SelfCalibratingBCE(beta=1.0)


@pytest.mark.parametrize(
    ('model', 'options', 'message'),
    [
        (
            lambda: Plain(nn.BCELoss()),
            {},
            'found no SelfCalibratingBCE in Plain: make one',
        ),
        (Strong, {}, 'the same beta'),
        (Plain, {}, r'BinaryCalibration .* Plain has none: make one'),
        (TwoMetrics, {}, 'train_calibration, val_calibration: .*name one of several'),
        (TwoMetrics, dict(metric='valid'), 'name one of several'),
        (Silent, {}, 'has not updated it'),
        (OtherLoss, {}, 'no loss has left its margins'),
        (toy.Segmenter, dict(batch_ids='path'), "batch.'path'., which a batch with"),
        (toy.Segmenter, dict(batch_ids='mask'), 'not an image of the training set'),
    ],
)
def test_what_cannot_train_says_what_to_do(model, options, message):
    with pytest.raises(ValueError, match=message):
        fit(model(), toy.make_callback(**options))
