from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmaslp.files.prob_maps import read_prob_map
from tests.scripts import run_script

TOOL = (Path(__file__).resolve().parents[1] / 'command.py', 'recalibrate')


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ('maps', 'masks'):
        (tmp_path / kind).mkdir()
    for name in 'abc':
        prob = rng.random((32, 32))
        mask = rng.random((32, 32)) < 0.25 + 0.5 * prob
        Image.fromarray((255 * prob).astype(np.uint8)).save(
            tmp_path / f'maps/{name}.png'
        )
        Image.fromarray(255 * mask.astype(np.uint8)).save(
            tmp_path / f'masks/{name}.png'
        )
    return tmp_path


def test_fit_then_write(folder):
    done = run_script(
        *TOOL, 'maps', 'masks', '--fit', 't.json', '--regions', 'border', cwd=folder
    )
    assert done.returncode == 0, done.stderr
    assert 'from 3 validation images' in done.stdout and 'to 1 ' in done.stdout
    for extra, shown in (
        ([], 'temperature by region, '),
        (['--single-temperature'], 'temperature '),
    ):
        args = ('maps', '--with', 't.json', '--out', 'out', *extra)
        done = run_script(*TOOL, *args, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert f'3 maps written to out, {shown}' in done.stdout
    assert read_prob_map(folder / 'out/a.png').shape == (32, 32)


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['maps', '--fit', 't.json'], '--fit needs MASKS'),
        (['maps', '--with', '2'], '--with needs --out'),
        (['maps', 'masks', '--with', '2', '--out', 'x'], '--with takes no MASKS'),
        (['maps', 'masks', '--fit', 't.json', '--out', 'x'], '--fit takes no --out'),
        (
            ['maps', '--with', '2', '--out', 'x', '--regions', 'border'],
            '--with takes no --regions',
        ),
        (['maps', '--with', '2', '--out', 'maps'], 'is the folder of the inputs'),
        (['maps', '--with', 'no.json', '--out', 'x'], 'no temperature at'),
    ],
)
def test_bad_arguments(folder, args, message):
    done = run_script(*TOOL, *args, cwd=folder)
    assert done.returncode == 2
    assert message in done.stderr and 'Traceback' not in done.stderr
