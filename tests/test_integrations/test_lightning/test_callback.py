"""Trainings of a tiny module with the real library."""

import multiprocessing
import os
import signal
import time
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

pytest.importorskip('lightning', reason='needs the extra [lightning]')

from lightning.pytorch.callbacks import Callback, StochasticWeightAveraging
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader, DistributedSampler

import tests.lightning_toy as toy
from mmaslp.calibration import Calibrator, fit_calibrator
from mmaslp.integrations.lightning import ASLPCallback
from mmaslp.integrations.torchmetrics import BinaryBandCalibration
from mmaslp.levels import BandLevels, ImageBandLevels

pytestmark = pytest.mark.filterwarnings('ignore')
EPOCHS = 8


def run(folder, levels_type, epochs=EPOCHS, checkpoint=None):
    callback = ASLPCallback(levels_type())
    toy.train(folder, epochs, callback, checkpoint)
    return callback


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


@pytest.fixture(scope='module', params=[BandLevels, ImageBandLevels])
def levels_type(request):
    return request.param


@pytest.fixture(scope='module')
def whole(tmp_path_factory, levels_type):
    """Folder of a training that nothing interrupted."""
    folder = tmp_path_factory.mktemp('whole')
    callback = run(folder, levels_type)
    assert callback.levels.validations == EPOCHS
    assert callback.levels.levels.any()
    return folder


def test_a_resumed_run_ends_bit_equal(whole, levels_type, tmp_path):
    run(tmp_path, levels_type, EPOCHS, whole / 'epoch=4.ckpt')
    ends = [content(f / f'epoch={EPOCHS - 1}.ckpt') for f in (whole, tmp_path)]
    assert_bit_equal(*ends)
    assert not [key for key in ends[0]['state_dict'] if 'criterion' in key]
    with pytest.raises(AssertionError):
        assert_bit_equal(ends[0], content(whole / 'epoch=4.ckpt'))


@pytest.mark.parametrize('everything, own, alike', [(1, None, False), (1, 0, True)])
def test_the_seed_is_that_of_seed_everything(
    whole, levels_type, tmp_path, monkeypatch, everything, own, alike
):
    monkeypatch.setenv('PL_GLOBAL_SEED', str(everything))
    toy.train(tmp_path, EPOCHS, ASLPCallback(levels_type(), seed=own))
    ends = [content(f / f'epoch={EPOCHS - 1}.ckpt') for f in (whole, tmp_path)]
    one, other = (end['state_dict']['network.0.weight'] for end in ends)
    assert torch.equal(one, other) == alike


def test_levels_do_not_begin_in_the_middle_of_a_training(tmp_path):
    toy.train(tmp_path, 3, Callback())
    with pytest.raises(ValueError, match='contains no levels of ASLPCallback'):
        run(tmp_path / 'then', BandLevels, EPOCHS, tmp_path / 'epoch=1.ckpt')


def test_a_killed_run_resumes_bit_equal(whole, levels_type, tmp_path):
    process = multiprocessing.get_context('fork').Process(
        target=run, args=(tmp_path / 'killed', levels_type, 1000)
    )
    process.start()
    checkpoint = tmp_path / 'killed' / 'epoch=1.ckpt'
    deadline = time.monotonic() + 120
    # When there is a later one, this one is whole.
    while not checkpoint.with_name('epoch=2.ckpt').exists():
        assert process.is_alive()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    run(tmp_path / 'then', levels_type, EPOCHS, checkpoint)
    ends = [content(f / f'epoch={EPOCHS - 1}.ckpt') for f in (whole, tmp_path / 'then')]
    assert_bit_equal(*ends)


class OfTorch(toy.Segmenter):
    """The loss of torch in the place of ours."""

    def training_step(self, batch, batch_idx):
        return binary_cross_entropy_with_logits(self(batch['image']), batch['mask'])


class StillBandLevels(BandLevels):
    """Levels that stay at 0."""

    def observe(self, table, whole=False):
        super().observe(table, whole)
        self.levels.zero_()


class StillImageBandLevels(StillBandLevels, ImageBandLevels):
    """Levels that stay at 0, with errors of the images."""


def test_levels_of_none_and_of_0_train_as_torch_does_bit_for_bit(tmp_path):
    trainings = [
        (toy.Segmenter(), None),
        (toy.Segmenter(), StillBandLevels()),
        (toy.Segmenter(), StillImageBandLevels()),
        (OfTorch(), None),
    ]
    ends = []
    for number, (model, levels) in enumerate(trainings):
        callback = ASLPCallback(levels)
        toy.train(tmp_path / f'{number}', EPOCHS, callback, model=model)
        ends.append([*model.state_dict().values(), torch.get_rng_state()])
    for end in ends[1:]:
        for one, other in zip(ends[0], end, strict=True):
            assert torch.equal(one, other)
    assert callback.levels is None


class Shared(toy.Segmenter):
    """Weights stay as they are; the processes share the validation set."""

    def __init__(self, folder):
        super().__init__(lr=0.0)
        self.folder = folder

    def val_dataloader(self):
        places = dict(num_replicas=self.trainer.world_size, rank=self.global_rank)
        data = toy.Squares(12, seed=1, noise=0.0)
        sampler = DistributedSampler(data, **places, shuffle=False)
        return DataLoader(data, 2, sampler=sampler)

    def on_train_end(self):
        (callback,) = (c for c in self.trainer.callbacks if isinstance(c, ASLPCallback))
        found = callback.calibrator.to_dict(), callback.levels.levels
        torch.save(found, self.folder / f'{self.global_rank}')


def test_two_processes_have_the_levels_and_the_calibrator_of_one(tmp_path):
    two = DDPStrategy(start_method='fork', process_group_backend='gloo')
    found = []
    for options in (dict(devices=1), dict(devices=2, strategy=two)):
        folder = tmp_path / str(options['devices'])
        folder.mkdir()
        options['use_distributed_sampler'] = False
        callback = ASLPCallback(BandLevels(), calibrator=dict(method='temperature'))
        data = [DataLoader(toy.Squares(), 2)]
        toy.train(folder, 6, callback, model=Shared(folder), data=data, **options)
        found += [torch.load(file) for file in sorted(folder.glob('[01]'))]
    (one, levels), *others = found
    assert levels.any()
    assert len(others) == 2
    for other, same in others:
        assert torch.equal(same, levels)
        assert other['record']['images'] == one['record']['images'] == 12
        assert other['curves'] == one['curves']


def test_every_checkpoint_holds_the_calibrator_of_its_weights(tmp_path):
    callback = ASLPCallback(BandLevels(), calibrator=dict(method='temperature'))
    val = toy.Squares(12, seed=1, noise=0.0)
    model = toy.train(tmp_path, 6, callback, data=toy.loaders(val)).eval()
    saved = [
        content(tmp_path / f'epoch={k}.ckpt')['callbacks']['ASLPCallback']
        for k in range(6)
    ]
    with torch.no_grad():
        logits = model(val.images)
    wanted = fit_calibrator(logits, val.masks, method='temperature', logits=True)
    saved = [each['calibrator'] for each in saved]
    assert saved[-1]['record']['images'] == 12
    assert saved[0]['curves'] != saved[-1]['curves']
    for found in (callback.calibrator, Calibrator.from_dict(saved[-1])):
        assert (found.method, found.by) == (wanted.method, wanted.by)
        np.testing.assert_allclose(found.curves, wanted.curves, rtol=1e-3)
    assert model.calibration.listener is None

    again = ASLPCallback(BandLevels(), calibrator=True)
    again.load_state_dict(
        content(tmp_path / 'epoch=5.ckpt')['callbacks']['ASLPCallback']
    )
    assert again.calibrator == callback.calibrator
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for network in (model, model.network):
            again.calibrator.wrap(network)
    with pytest.warns(UserWarning, match='other weights'):
        again.calibrator.wrap(toy.Segmenter().network)


@pytest.mark.parametrize('first', [True, False])
def test_averaged_weights_are_those_of_the_calibrator(tmp_path, recwarn, first):
    callbacks = pytest.importorskip('lightning.pytorch.callbacks')
    if not hasattr(callbacks, 'EMAWeightAveraging'):
        pytest.skip('Lightning before 2.6 averages no weights')
    both = [ASLPCallback(BandLevels(), calibrator=True)]
    both.insert(first, callbacks.EMAWeightAveraging(decay=0.9))
    val = toy.Squares(12, seed=1, noise=0.0)
    data = toy.loaders(val)
    model = toy.train(tmp_path, 6, None, data=data, callbacks=both)
    (callback,) = (each for each in both if isinstance(each, ASLPCallback))
    callback.calibrator.wrap(model.network)
    said = ' '.join(str(each.message) for each in recwarn)
    assert 'other weights' not in said
    assert 'does not hold its levels' not in said


def test_another_training_begins_anew_and_the_same_goes_on(tmp_path):
    callback = ASLPCallback(BandLevels())
    saved = BandLevels()
    saved.validations = 3
    callback.levels.load_state_dict(saved.state_dict())  # before the first training
    ends = []
    for fold in ('first', 'second'):
        model = toy.train(tmp_path / fold, EPOCHS, callback)
        ends.append(repr(callback.state_dict()))  # nan too
    assert ends[0] == ends[1]
    assert callback.levels.validations == EPOCHS + 3
    assert callback.levels.levels.any()
    model.trainer.fit_loop.max_epochs = EPOCHS + 4
    model.trainer.fit(model, *toy.loaders(toy.Squares(4, seed=1)))
    assert callback.levels.validations == EPOCHS + 7


def test_a_validation_after_the_training_counts_its_images_alone(tmp_path):
    callback = ASLPCallback(BandLevels())
    model = toy.train(tmp_path, EPOCHS, callback)
    levels = callback.levels.levels.clone()
    for number in (6, 3):
        loader = DataLoader(toy.Squares(number, seed=7), 2)
        model.trainer.validate(model, loader, verbose=False)
        assert model.calibration.counter().compute()['num_images'] == number
    assert torch.equal(callback.levels.levels, levels)


def test_weights_that_change_after_the_last_validation_get_no_calibrator(tmp_path):
    callbacks = [ASLPCallback(calibrator=True), StochasticWeightAveraging(1e-2)]
    with pytest.raises(ValueError, match='fit_calibrator'):
        toy.train(tmp_path, EPOCHS, None, callbacks=callbacks)


def test_a_checkpoint_of_version_0_5_is_refused():
    state = dict(step=7, session=dict(levels=BandLevels().state_dict()))
    callback = ASLPCallback(calibrator=True)
    with pytest.raises(ValueError, match='of another version of mmaslp'):
        callback.load_state_dict(state)


@pytest.mark.parametrize('step', [None, 'x', -5, 2.5])
def test_a_checkpoint_whose_step_cannot_be(step):
    callback = ASLPCallback()
    state = {**callback.state_dict(), 'step': step}
    with pytest.raises(ValueError, match='step must be'):
        callback.load_state_dict(state)


def test_too_few_images_for_a_calibrator_are_told_of(tmp_path, caplog):
    callback = ASLPCallback(BandLevels(), calibrator=True)
    toy.train(tmp_path, 6, callback)
    assert callback.calibrator is None
    assert 'a fit to 4 images cannot be checked' in caplog.text


def test_a_calibrator_that_no_validation_follows_is_told_of(tmp_path, caplog):
    caplog.set_level('INFO')
    callback = ASLPCallback(BandLevels(), calibrator=True)
    toy.train(tmp_path, 15, callback, check_val_every_n_epoch=2)
    assert callback.calibrator is None
    assert 'no validation follows the last training batch' in caplog.text


def test_the_warm_up_by_default_is_a_third_of_the_validations(tmp_path):
    callback = ASLPCallback()
    toy.train(tmp_path, 9, callback)
    assert callback.levels.warmup == 2
    with pytest.raises(ValueError, match='length is not known'):
        toy.train(tmp_path, -1, ASLPCallback(), max_time='00:00:00:09')


@pytest.mark.parametrize(
    ('levels', 'epochs', 'options', 'match'),
    [
        ('band', 9, dict(limit_val_batches=0), 'give fit.. validation images'),
        ('band', 6, {}, '4 are between the end of the warm-up'),
        ('band', 40, dict(check_val_every_n_epoch=10), 'a lower val_check_interval'),
        (BandLevels(warmup=50), 20, {}, ' 0 are between'),
    ],
)
def test_levels_that_cannot_move_are_an_error(tmp_path, levels, epochs, options, match):
    with pytest.raises(ValueError, match=match):
        toy.train(tmp_path, epochs, ASLPCallback(levels), **options)


class OtherLoss(toy.Segmenter):
    def __init__(self):
        super().__init__()
        self.criterion = nn.BCEWithLogitsLoss()


class NoMetric(toy.Segmenter):
    def __init__(self):
        super().__init__()
        del self.calibration


class TwoMetrics(toy.Segmenter):
    def __init__(self):
        super().__init__()
        self.train_calibration = BinaryBandCalibration()


class Silent(toy.Segmenter):
    def validation_step(self, batch, batch_idx):
        pass


class Masks(toy.Segmenter):
    def training_step(self, batch, batch_idx):
        return super().training_step(dict(batch, mask=255 * batch['mask']), 0)

    def validation_step(self, batch, batch_idx):
        super().validation_step(dict(batch, mask=255 * batch['mask']), 0)


@pytest.mark.parametrize(
    ('model', 'options', 'message'),
    [
        (OtherLoss, {}, 'found no SelfCalibratingBCE in OtherLoss: make one'),
        (NoMetric, {}, r'BinaryBandCalibration .* NoMetric has none: make one'),
        (TwoMetrics, {}, 'calibration, train_calibration: .*name one of several'),
        (TwoMetrics, dict(metric='valid'), 'name one of several'),
        (Silent, {}, 'contains no pixel: call update'),
        (Masks, {}, 'masks of 0 and 255'),
    ],
)
def test_what_cannot_train_says_what_to_do(tmp_path, model, options, message):
    callback = ASLPCallback(BandLevels(), **options)
    with pytest.raises(ValueError, match=message):
        toy.train(tmp_path, 6, callback, model=model(), fast_dev_run=model is not Masks)
