"""The benchmark of calibration: real runs on tiny data, and its tables."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / 'benchmarks'


@pytest.fixture
def folders(tmp_path, image_folder):
    for split, number in (('train', 6), ('val', 4), ('test', 3)):
        image_folder(tmp_path / 'set' / split, number, seed=len(split))
    image_folder(tmp_path / 'ood' / 'test', 2, seed=9)
    return tmp_path


def call(folders, script, *options):
    command = [sys.executable, str(SCRIPTS / script), '--data', str(folders / 'set')]
    command += ['--out', str(folders / 'out'), '--json', str(folders / 'raw.json')]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads((folders / 'raw.json').read_text())


def test_calibration(folders):
    options = ('--methods', 'bce', 'ls_0.1', 'ls_0.2', 'aslp_fb', '--seeds', '1')
    options += (
        '--epochs',
        '7',
        '--val-interval',
        '1',
        '--size',
        '32',
        '--ood',
        str(folders / 'ood'),
    )
    output, records = call(folders, 'calibration.py', *options)
    assert [record['method'] for record in records] == list(options[1:5])
    assert len(records[3]['alpha']) == 6
    assert records[0]['temperature'] > 0
    for record in records:
        for sets in record['evaluations'].values():
            assert set(sets) == {'test', 'val', 'ood'}
            assert sum(sets['test']['bins']['count']) == 3 * 16 * 16
    plain, scaled = records[0]['evaluations'].values()
    for key in ('acc', 'mIoU %'):
        assert plain['test']['figures'][key] == scaled['test']['figures'][key]
    for row in ('bce', 'bce+ts', 'aslp_fb+ts', 'ls_best (ls_0.'):
        assert f'| set | {row}' in output
    assert (folders / 'out' / 'alpha.png').stat().st_size > 1000
    assert (folders / 'out' / 'reliability_set_test.png').stat().st_size > 1000

    again, same = call(folders, 'calibration.py', *options)
    assert '4 of 4 runs are there' in again and same == records
    shutil.rmtree(folders / 'out')
    (some, same) = call(folders, 'calibration.py', *options[:2], *options[5:])
    assert '1 of 1 runs are there' in some and same == records


def test_study(folders):
    options = (
        '--variants',
        'FB',
        'MC, lam / 4',
        '--epochs',
        '7',
        '--val-interval',
        '1',
    )
    base = folders / 'base.py'
    base.write_text(
        f'_base_ = {str(SCRIPTS / "unet_64.py")!r}\n'
        'train_dataloader = dict(batch_size=2)\n'
    )
    output, records = call(folders, 'study.py', *options, '--base', str(base))
    names = [record['method'] for record in records]
    assert names == ['MC, lam / 4', 'FB', 'FB, one level']
    mean = sum(records[1]['alpha']) / 6
    assert records[2]['spec']['hook']['alpha'] == pytest.approx(mean)
    for record in records:
        (sets,) = record['evaluations'].values()
        assert list(sets) == ['val'] and sets['val']['num_images'] == 2
        assert f'| set | {record["method"]} |' in output


def record(data, seed, ece, method='bce'):
    entry = dict(ood=False, figures=dict(ece=ece))
    return dict(
        data=data,
        seed=seed,
        method=method,
        evaluations={'': dict(test=entry, val=dict(entry, figures=dict(ece=ece)))},
    )


def test_mean_of_the_sets_is_of_the_same_seeds(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from tables import MEAN, collect

    records = [record('a', 0, 0.1), record('a', 1, 0.3), record('b', 1, 0.5)]
    records.append(record('a', 0, 0.2, 'focal'))
    found, tests, ood = collect(records, 'val')
    assert (tests, ood) == (['test'], [])
    assert found['a']['bce']['test']['ece'] == {0: 0.1, 1: 0.3}
    assert found[MEAN]['bce']['test']['ece'] == {1: pytest.approx(0.4)}
    assert list(found[MEAN]) == ['bce']


def test_a_folder_is_of_one_setting(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(SCRIPTS)
    from training import Job, Setting

    spec = dict(loss=dict(type='SCBCELoss'), hook=None)
    jobs = [
        Job(Setting('base.py', epochs=e), '', (), 'bce', spec, 0, str(tmp_path / 'run'))
        for e in (5, 6)
    ]
    jobs[0].check_folder()
    jobs[0].check_folder()
    with pytest.raises(ValueError, match=r"is of another run .*'epochs': 5.*--out"):
        jobs[1].check_folder()
