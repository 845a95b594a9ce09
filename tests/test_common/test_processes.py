"""Levels and calibrators of two processes on gloo are those of one."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from mmaslp import (
    BandLevels,
    BandTable,
    ImageBandLevels,
    ImageLevels,
    SelfCalibratingBCE,
)
from mmaslp.calibration import CalibrationTables
from mmaslp.training.sessions import CalibratorSession

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason='needs gloo')


def by_image(rank, world):
    ids = [f'{i}.png' for i in range(7)]
    levels = ImageLevels(ids, rule='FB', alpha=0.2)
    for step in range(6):
        names = [ids[(step + k) % 7] for k in range(3)]
        values = torch.arange(1.0, 4.0) + step
        if world > 1:  # batches of different length
            own = slice(0, 2) if rank == 0 else slice(2, 3)
            names, values = names[own], values[own]
        sample = levels.sample(names, step)
        sample.record(values)
        levels.update(sample)
        levels.observe(accuracy=0.9, confidence=0.95 - 0.02 * step)
    return levels


def by_band(rank, world, whole=False):
    label = torch.zeros(4, 64, 64)
    for number, own in enumerate(label):
        own[:, 20 : 35 + 5 * number] = 1
    share = slice(None) if whole else slice(rank, None, world)
    levels = BandLevels()
    for shift in (1, 2, 3, 2):
        table = BandTable()
        for own in label[share]:
            table.update(0.01 + 0.98 * own.roll(shift, 1), own)
        levels.observe(table, whole=whole)
    return levels


def by_image_and_band(rank, world):
    """Six images, of which each process trains and validates its share."""
    label = torch.zeros(6, 64, 64)
    for number, mask in enumerate(label):
        mask[:, 20 : 35 + 4 * number] = 1
    share = slice(rank, None, world)
    levels = ImageBandLevels()
    criterion = SelfCalibratingBCE(levels)
    for shift in (1, 2, 3, 2):
        logits = torch.stack([8 * mask.roll(shift, 1) - 4 for mask in label[share]])
        criterion(logits, label[share])
        table = BandTable()
        table.update(logits.sigmoid(), label[share])
        levels.observe(table)
    criterion(logits, label[share])
    return levels


def calibrated(rank, world):
    prob = torch.linspace(0.1, 0.9, 6 * 64).view(6, 8, 8)
    label = (prob + 0.3 * torch.sin(50 * prob) > 0.5).long()
    session = CalibratorSession(method='temperature')
    for own in (slice(rank, 4, world), slice(4 + rank, 6, world)):
        session.update(prob[own], label[own])
    session.end_validation()
    return session


def failing(rank, world):
    """The count of one process fails: the other must not wait for it."""

    def count():
        if rank == 1:
            raise ValueError('a bad mask')
        return CalibrationTables()

    session = CalibratorSession()
    session.take(count)
    return session


def _rank(rank, world, folder, train, *args):
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/group', rank=rank, world_size=world
    )
    torch.save(train(rank, world, *args).state_dict(), folder / str(rank))
    dist.destroy_process_group()


def in_processes(number, folder, *call):
    mp.start_processes(_rank, (number, folder, *call), number, start_method='fork')
    return [torch.load(folder / str(rank), weights_only=True) for rank in range(number)]


@pytest.fixture(autouse=True)
def on_this_machine(monkeypatch):
    monkeypatch.setenv('GLOO_SOCKET_IFNAME', 'lo')


def test_two_processes_have_the_levels_of_one(tmp_path):
    one = by_image(0, 1).alpha
    ranks = [each['alpha'] for each in in_processes(2, tmp_path, by_image)]
    assert torch.equal(ranks[0], ranks[1])
    torch.testing.assert_close(ranks[0], one, atol=1e-12, rtol=0)
    assert (one != 0.2).all()


@pytest.mark.parametrize('whole', [False, True])
def test_levels_by_band_are_those_of_one_process(tmp_path, whole):
    """Each process validates its share, or each the whole set."""
    one = by_band(0, 1).state_dict()
    assert one['levels'][0] > 0
    for rank in in_processes(2, tmp_path, by_band, whole):
        assert rank['levels'] == one['levels']
        assert rank['best'] == one['best']


@pytest.mark.parametrize('number', [2, 3])
def test_levels_by_image_and_band_are_those_of_one_process(tmp_path, number):
    one = by_image_and_band(0, 1).state_dict()
    assert one['levels'][0] > 0
    ranks = in_processes(number, tmp_path, by_image_and_band)
    for rank in ranks:
        assert rank['levels'] == pytest.approx(one['levels'], abs=1e-9)
        assert rank['mean_error'] == pytest.approx(one['mean_error'], abs=1e-9)
    sums = torch.tensor([rank['error_sums'] for rank in ranks]).sum(0).tolist()
    assert sums == pytest.approx(one['error_sums'])


def test_a_calibrator_is_that_of_one_process(tmp_path):
    """Each process validates its share, as DistributedSampler deals it out."""
    one = calibrated(0, 1).state_dict()
    assert one['calibrator']['record']['groups'] == 6
    assert in_processes(2, tmp_path, calibrated) == [one, one]


def test_a_count_that_fails_in_one_process_ends_in_all(tmp_path):
    for rank in in_processes(2, tmp_path, failing):
        assert rank['calibrator'] is None
