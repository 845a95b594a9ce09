import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler

pytest.importorskip('lightning', reason='needs the extra [integrations]')

from lightning.pytorch.strategies import DDPStrategy

import tests.lightning_toy as toy
from mmaslp.core import BorderLevels
from mmaslp.core.calibrators import Calibrator, fit_calibrator
from mmaslp.hosts.lightning import ASLPCallback
from mmaslp.hosts.lightning.calibration import to_plain

pytestmark = pytest.mark.filterwarnings('ignore')


def fit(folder, callback, epochs, val):
    torch.manual_seed(0)
    model, (train, _) = toy.Segmenter(by_band=True), toy.loaders()
    trainer = toy.make_trainer(folder, epochs, callback)
    trainer.fit(model, train, DataLoader(val, 3))
    files = [folder / f'epoch={epoch}.ckpt' for epoch in range(epochs)]
    return model.eval(), [
        torch.load(file, weights_only=True)['callbacks']['ASLPCallback']['calibrator']
        for file in files
    ]


def test_every_checkpoint_holds_the_calibrator_of_its_weights(tmp_path):
    callback = ASLPCallback(BorderLevels(), calibrator=dict(method='temperature'))
    val = toy.Squares(12, seed=1, noise=0.0)
    model, saved = fit(tmp_path, callback, 7, val)
    with torch.no_grad():
        logits = model.network(val.images)
    wanted = fit_calibrator(logits, val.masks, method='temperature', logits=True)
    assert saved[-1]['record']['images'] == 12
    assert saved[0]['maps'] != saved[-1]['maps']
    for found in (callback.calibrator, Calibrator(**saved[-1])):
        assert (found.method, found.by) == (wanted.method, wanted.by)
        np.testing.assert_allclose(found.maps, wanted.maps, rtol=1e-3)
    assert model.calibration.listener is None


def test_too_few_images_for_a_calibrator_are_told_of(tmp_path, caplog):
    callback = ASLPCallback(BorderLevels(), calibrator=True)
    _, saved = fit(tmp_path, callback, 7, toy.Squares(4, seed=1))
    assert callback.calibrator is None and saved == [None] * 7
    assert 'too few' in caplog.text


class Resting(toy.Segmenter):
    """Weights stay as they are; the processes share the validation set."""

    def __init__(self, folder):
        super().__init__(by_band=True)
        self.folder = folder

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)

    def val_dataloader(self):
        places = dict(num_replicas=self.trainer.world_size, rank=self.global_rank)
        data = toy.Squares(12, seed=1, noise=0.0)
        sampler = DistributedSampler(data, **places, shuffle=False)
        return DataLoader(data, 2, sampler=sampler)

    def on_train_end(self):
        (callback,) = (c for c in self.trainer.callbacks if isinstance(c, ASLPCallback))
        torch.save(to_plain(callback.calibrator), self.folder / f'{self.global_rank}')


def test_two_processes_fit_the_calibrator_of_one(tmp_path):
    two = DDPStrategy(start_method='fork', process_group_backend='gloo')
    found = []
    for options in (dict(devices=1), dict(devices=2, strategy=two)):
        folder = tmp_path / str(options['devices'])
        folder.mkdir()
        torch.manual_seed(0)
        callback = ASLPCallback(BorderLevels(), calibrator=True)
        options['use_distributed_sampler'] = False
        trainer = toy.make_trainer(folder, 7, callback, **options)
        trainer.fit(Resting(folder), toy.loaders()[0])
        found += [torch.load(file) for file in sorted(folder.glob('[01]'))]
    assert [each['record']['images'] for each in found] == [12, 12, 12]
    for each in found[1:]:
        assert each['record']['foreground'] == found[0]['record']['foreground']
        for (knots, levels), wanted in zip(each['maps'], found[0]['maps']):
            np.testing.assert_allclose([knots, levels], wanted)
