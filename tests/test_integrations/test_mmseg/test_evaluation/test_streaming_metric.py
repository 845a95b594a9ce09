import os

import pytest
import torch
import torch.multiprocessing as mp
from mmengine.fileio import load

from mmaslp import CalibrationMetric
from tests.segmentor_samples import measured, sample


def test_repeated_images_at_the_end_are_left_out():
    samples = [sample(i) for i in range(5)]
    expected = measured(samples)[1]
    assert measured([*samples, sample(0), sample(1)], size=5)[1] == expected


def test_too_many_repeated_images_are_an_error():
    with pytest.raises(RuntimeError, match=r'12 images .* dataset of 5'):
        measured([sample(i) for i in range(12)], size=5)


def _rank(rank, world, total, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/group', rank=rank, world_size=world
    )
    metric = CalibrationMetric(
        resamples=50, collect_dir=f'{folder}/parts', output_dir=folder
    )
    # What DefaultSampler(round_up=True) does: start again to fill up.
    per_rank = -(-total // world)
    indices = [i % total for i in range(per_rank * world)][rank::world]
    for index in indices:
        metric.process({}, [sample(index)])
    found = metric.evaluate(total)
    torch.save(found, f'{folder}/{rank}.pt')
    torch.distributed.destroy_process_group()


def test_any_number_of_processes_gives_the_same_bits(tmp_path):
    world = 3
    _, expected = measured(
        [sample(i) for i in range(7)],
        draw=True,
        resamples=50,
        output_dir=str(tmp_path / 'one'),
    )
    folder = str(tmp_path / 'many')
    os.mkdir(folder)
    mp.start_processes(_rank, (world, 7, folder), world, start_method='fork')
    for rank in range(world):
        assert torch.load(f'{folder}/{rank}.pt') == expected
    one, many = (load(tmp_path / d / 'calibration_test.json') for d in ('one', 'many'))
    assert one == many
    assert {'ece', 'brier', 'nll'} <= one['intervals'].keys()
