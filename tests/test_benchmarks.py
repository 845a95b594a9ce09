"""The benchmark of calibration: real runs on tiny data, and its tables."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scripts import run_script

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / 'benchmarks'


@pytest.fixture
def folders(tmp_path, image_folder):
    for split, number in (('train', 6), ('val', 4), ('test', 3)):
        image_folder(tmp_path / 'set' / split, number, seed=len(split))
    image_folder(tmp_path / 'ood' / 'test', 2, seed=9)
    return tmp_path


def call(folders, script, *options):
    given = ['--data', folders / 'set', '--out', folders / 'out']
    done = run_script(
        SCRIPTS / script, *given, '--json', folders / 'raw.json', *options
    )
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
    for row in ('bce', 'bce+ts', 'aslp_fb+ts', 'ls_best ('):
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
    # A figure or a set that some runs have not has no mean.
    records[0]['evaluations']['']['test']['figures']['oe'] = 0.1
    records[0]['evaluations']['']['more'] = dict(ood=False, figures=dict(ece=0.1))
    found, tests, ood = collect(records, 'val')
    assert (sorted(tests), ood) == (['more', 'test'], [])
    assert {name: [*row] for name, row in found[MEAN]['bce'].items()} == {
        'test': ['ece'],
        'val': ['ece'],
    }
    assert found['a']['bce']['test']['ece'] == {0: 0.1, 1: 0.3}
    assert found[MEAN]['bce']['test']['ece'] == {1: pytest.approx(0.4)}
    assert list(found[MEAN]) == ['bce']


@pytest.fixture
def make_job(monkeypatch, folders):
    """Make runs on the data of ``folders`` that need not be run."""
    monkeypatch.syspath_prepend(SCRIPTS)
    from jobs import Job, Setting

    def make(data='set', ood=(), seed=0, base=SCRIPTS / 'unet_64.py', **setting):
        return Job(
            setting=Setting(str(base), **setting),
            data=str(folders / data),
            ood=tuple(str(folders / each) for each in ood),
            method='bce',
            spec=dict(loss=dict(type='SCBCELoss'), hook=None),
            seed=seed,
            out=folders / 'out',
        )

    return make


def test_a_folder_is_of_one_run(make_job, folders, image_folder, monkeypatch):
    import jobs

    make_job(epochs=5).claim_folder()
    make_job(epochs=5).check_folder()
    for other, match in (
        (dict(epochs=6), r"'epochs': 5.*'epochs': 6.*--out"),
        (dict(epochs=5, ood=['ood']), 'files: '),
    ):
        with pytest.raises(ValueError, match=f'is of another run .*{match}'):
            make_job(**other).check_folder()
    (folders / 'set' / '.DS_Store').touch()
    jobs.files_digest.cache_clear()
    make_job(epochs=5).check_folder()
    (folders / 'set').rename(folders / 'away')
    jobs.files_digest.cache_clear()
    make_job(epochs=5).check_folder()  # a table needs no data
    for split in ('train', 'val', 'test'):
        image_folder(folders / 'set' / split, 2, seed=1)
    jobs.files_digest.cache_clear()
    with pytest.raises(ValueError, match='files: '):
        make_job(epochs=5).check_folder()


def test_a_config_that_changes_in_a_process_is_seen(make_job, tmp_path):
    base = tmp_path / 'base.py'
    text = f'_base_ = {str(SCRIPTS / "unet_64.py")!r}\n'
    base.write_text(text)
    job = make_job(base=base)
    job.claim_folder()
    job.check_again()
    base.write_text(text + 'optim_wrapper = dict(optimizer=dict(lr=0.5))\n')
    with pytest.raises(ValueError, match=r'is of another run \(setting: '):
        job.check_again()


def test_another_config_of_the_same_name_is_another_setting(make_job, tmp_path):
    settings = []
    for name, rate in (('a', 0.1), ('b', 0.2)):
        base = tmp_path / name / 'base.py'
        base.parent.mkdir()
        base.write_text(
            f'_base_ = {str(SCRIPTS / "unet_64.py")!r}\n'
            f'optim_wrapper = dict(optimizer=dict(lr={rate}))\n'
        )
        settings.append(make_job(base=base).setting.describe())
    assert settings[0].pop('config') != settings[1].pop('config')
    assert settings[0] == settings[1]


def test_what_would_fail_is_said_before_the_first_run(make_job, folders, image_folder):
    from jobs import check_jobs

    check_jobs([make_job(train_images=6), make_job(train_images=6, seed=1)])
    with pytest.raises(ValueError, match='set: 6 training images, 7 were asked for'):
        check_jobs([make_job(train_images=7, seed=2)])
    for split in ('train', 'val', 'test'):
        image_folder(folders / 'other' / 'set' / split, 2, seed=1)
        image_folder(folders / 'holes' / split, 2, seed=1)
    with pytest.raises(ValueError, match=r'more than one folder \(set\)'):
        check_jobs([make_job(seed=3), make_job('other/set', seed=3)])
    with pytest.raises(ValueError, match=r'more than one folder \(set\)'):
        check_jobs([make_job(seed=3, ood=['other/set'])])
    next((folders / 'holes' / 'test' / 'masks').iterdir()).unlink()
    with pytest.raises(ValueError, match=r'holes: .* have no mask'):
        check_jobs([make_job(seed=3), make_job('holes', seed=3)])
    with pytest.raises(ValueError, match='nowhere: '):
        check_jobs([make_job('nowhere')])
    with pytest.raises(ValueError, match='is of another run'):
        check_jobs([make_job(epochs=6, seed=4), make_job(epochs=6)])
    # What was wrong can be mended: no folder is claimed for it.
    assert not (folders / 'out' / 'holes').exists()
    assert not (folders / 'out' / 'set' / 'bce' / 'seed4').exists()


def test_records_of_another_table_are_refused(make_job, folders):
    from records import load_records, restore_records, save_records

    job, other = make_job(epochs=5), make_job(epochs=6, seed=1)
    path = folders / 'raw.json'
    save_records(path, [dict(job.describe(), evaluations={})])
    restore_records(path, job.out, job.setting)
    assert [r['seed'] for r in load_records(job.out, ['bce'])] == [0]
    with pytest.raises(ValueError, match='holds runs of bce, which this script'):
        load_records(job.out, ['focal'])
    for source in (path, None):  # the file, the folder
        with pytest.raises(ValueError, match=r'a run of another table .*now 6'):
            restore_records(source, other.out, other.setting)
    for text in ('[{"method": "ls_', '{"a": 1}', '[{"method": "bce"}]', '[1]'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r'raw.json is .*no file of this'):
            restore_records(path, folders / 'new', job.setting)
    with pytest.raises(ValueError, match='is a folder'):
        restore_records(folders, folders / 'new', job.setting)


def test_a_checkpoint_that_was_half_written(make_job, tmp_path):
    from training import latest_checkpoint

    assert latest_checkpoint(tmp_path) is None
    (tmp_path / 'epoch_8.pth').touch()
    assert latest_checkpoint(tmp_path) is None  # nothing says that it is whole
    for name in ('epoch_12.pth', 'epoch_4.pth'):
        (tmp_path / name).touch()
    named = tmp_path / 'last_checkpoint'
    named.write_text(str(tmp_path / 'epoch_8.pth'))
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_8.pth')
    named.write_text(str(tmp_path / 'epoch_3.pth'))
    assert latest_checkpoint(tmp_path) == str(tmp_path / 'epoch_4.pth')


def test_figures_that_a_run_has_not_are_dashes(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    from tables import collect, markdown

    records = [record('a', 0, 0.1), record('a', 1, 0.3, 'focal')]
    records[1]['evaluations']['']['ood'] = dict(ood=True, figures=dict(ece=0.5))
    found, _, ood = collect(records, 'val')
    assert markdown(found, ood, ['ece']).splitlines()[2:] == [
        '| a | bce | 0 | - |',
        '| a | focal | 1 | .5000 |',
    ]


@pytest.mark.parametrize(
    'options', [['--seeds', '0'], ['--train-images', '-3'], ['--workers', '0']]
)
@pytest.mark.parametrize('script', ['calibration.py', 'study.py'])
def test_numbers_below_1_are_refused(folders, script, options):
    done = run_script(SCRIPTS / script, '--data', folders / 'set', *options)
    assert done.returncode == 2 and 'must be at least 1' in done.stderr


def test_failures_come_after_the_table(folders):
    """One run is killed and one fails: the others are shown."""
    base = folders / 'base.py'
    base.write_text(
        f'_base_ = {str(SCRIPTS / "unet_64.py")!r}\n'
        'train_dataloader = dict(batch_size=2)\n'
        "custom_imports = dict(imports=['mmaslp', 'killer'])\n"
        "custom_hooks = [dict(type='Killer')]\n"
    )
    (folders / 'killer.py').write_text(
        'import os, signal\n'
        'from mmengine.hooks import Hook\n'
        'from mmseg.registry import HOOKS\n'
        '@HOOKS.register_module()\n'
        'class Killer(Hook):\n'
        '    def after_train_epoch(self, runner):\n'
        '        if "ls_0.1" in runner.work_dir and runner.epoch == 1:\n'
        '            os.kill(os.getpid(), signal.SIGKILL)\n'
        '        if "brier" in runner.work_dir:\n'
        '            raise Twofold(1, 2)\n'
        'class Twofold(Exception):\n'  # which no other process can read
        '    def __init__(self, a, b):\n'
        '        super().__init__("twofold")\n'
    )
    command = [sys.executable, str(SCRIPTS / 'calibration.py')]
    command += ['--data', str(folders / 'set'), '--out', str(folders / 'out')]
    command += ['--json', str(folders / 'raw.json'), '--base', str(base)]
    command += [
        '--methods',
        'bce',
        'brier',
        'ls_0.1',
        'ls_0.2',
        '--seeds',
        '1',
        '--workers',
        '2',
    ]
    command += ['--epochs', '2', '--val-interval', '1', '--size', '32']
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(folders)},
    )
    assert done.returncode == 1
    assert 'ls_0.1/seed0: its process was killed' in done.stderr
    assert "brier/seed0: Twofold('twofold')" in done.stderr
    assert '| set | bce |' in done.stdout and '| set | ls_0.2 |' in done.stdout
    records = json.loads((folders / 'raw.json').read_text())
    assert [record['method'] for record in records] == ['bce', 'ls_0.2']
