import os
import subprocess
import sys

import pytest
import torch

HEAD = """
import sys
import torch
import torch.distributed as dist
from mmaslp import BandTable, BorderLevels, ImageLevels

rank, world, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
if world > 1:
    dist.init_process_group(
        'gloo', init_method=f'file://{out}.group', rank=rank, world_size=world
    )
"""
TAIL = """
torch.save(levels.state_dict(), f'{out}.{rank}')
if world > 1:
    dist.destroy_process_group()
"""
IMAGES = """
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
"""
BANDS = """
label = torch.zeros(4, 64, 64)
label[:, :, 20:50] = 1
share = slice(rank, None, world) if 'shares' in out else slice(None)
levels = BorderLevels()
for shift in (1, 2, 3, 2):
    table = BandTable()
    for own in label[share]:
        table.update(0.01 + 0.98 * own.roll(shift, 1), own)
    levels.observe(table, whole='whole' in out)
"""


def levels(tmp_path, name, world, script):
    out = tmp_path / name
    environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'GLOO_SOCKET_IFNAME': 'lo'}
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                '-c',
                HEAD + script + TAIL,
                str(rank),
                str(world),
                str(out),
            ],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert not any(process.returncode for process in processes), errors
    return [torch.load(f'{out}.{rank}', weights_only=True) for rank in range(world)]


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason='needs gloo')
def test_two_processes_have_the_levels_of_one(tmp_path):
    (one,) = (each['alpha'] for each in levels(tmp_path, 'one', 1, IMAGES))
    ranks = [each['alpha'] for each in levels(tmp_path, 'two', 2, IMAGES)]
    assert torch.equal(ranks[0], ranks[1])
    torch.testing.assert_close(ranks[0], one, atol=1e-12, rtol=0)
    assert (one != 0.2).all()


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason='needs gloo')
@pytest.mark.parametrize('validation', ['shares', 'whole'])
def test_levels_by_band_are_those_of_one_process(tmp_path, validation):
    """Each process validates its share, or each the whole set."""
    (one,) = levels(tmp_path, 'one-whole', 1, BANDS)
    ranks = levels(tmp_path, validation, 2, BANDS)
    assert one['levels'][0] > 0
    for rank in ranks:
        assert torch.equal(one['levels'], rank['levels'])
        assert rank['best'] == one['best']
