import pytest

from mmaslp.commands import run_command
from mmaslp.hosts.mmseg.datasets import SODDataset
from tests.toy import write_images


def test_every_option_reaches_the_package(tmp_path, capsys):
    write_images(tmp_path / 'mine', 10, seed=0)
    (tmp_path / 'mine' / 'masks' / '00.png').write_bytes(b'')
    out = tmp_path / 'out'
    args = ['folder', '--source', str(tmp_path / 'mine'), '--out', str(out)]
    options = ['--val-ratio', '0.2', '--test-ratio', '0.4', '--seed', '3']
    run_command('prepare', [*args, *options, '--skip-bad'])
    assert '00.png: the mask file is empty' in capsys.readouterr().out
    sizes = [len(SODDataset(str(out), split=s)) for s in ('train', 'val', 'test')]
    assert sizes == [3, 2, 4]


@pytest.mark.release
def test_synthetic(tmp_path):
    run_command('prepare', ['synthetic', '--out', str(tmp_path)])
    assert len(SODDataset(str(tmp_path / 'synthetic_sod'), split='train')) == 60


def test_problems_are_messages(tmp_path, capsys):
    source = tmp_path / 'source'
    source.mkdir()
    args = ['hku-is', '--source', str(source), '--out', str(tmp_path / 'out')]
    assert run_command('prepare', args) == 2
    assert 'error: no HKU-IS data' in capsys.readouterr().err
