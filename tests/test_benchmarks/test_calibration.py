"""The benchmark of calibration: real runs on tiny data, and its tables."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.scripts import run_script

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / 'benchmarks'


def test_calibration(folders, call):
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
    output, records = call('calibration.py', *options)
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
    assert (folders / 'out' / 'bands_set_test.png').stat().st_size > 1000

    again, same = call('calibration.py', *options)
    assert '4 of 4 runs are there' in again and same == records
    shutil.rmtree(folders / 'out')
    (some, same) = call('calibration.py', *options[:2], *options[5:])
    assert '1 of 1 runs are there' in some and same == records


def test_both_directions_with_intervals_and_local_temperatures(folders, call):
    options = ['--methods', 'bce', '--seeds', '1', '--epochs', '1', '--size', '32']
    options += ['--val-interval', '1', '--ood', str(folders / 'ood'), '--swap']
    options += ['--post-hoc', 'lts', 'ibts', '--resamples', '20']
    output, records = call('calibration.py', *options)
    assert [record['data'] for record in records] == ['set', 'set_swapped']
    for record, number in zip(records, (3, 4)):
        assert set(record['evaluations']) == {'', '+lts', '+ibts'}
        for sets in record['evaluations'].values():
            assert set(sets) == {'test', 'val', 'ood'}
            assert sets['test']['num_images'] == number
            assert sets['val']['num_images'] == 7 - number
            low, high = sets['test']['intervals']['nll']
            assert low < sets['test']['figures']['nll'] < high
        plain, local, _ = record['evaluations'].values()
        assert local['test']['figures']['nll'] != plain['test']['figures']['nll']
        assert record['lts']['before'] == pytest.approx(
            plain['val']['figures']['nll'], abs=0.01
        )
    assert '| set_swapped | test | bce+lts | 0 | ' in output
    for name in ('eval', 'lts/eval', 'ibts/eval'):
        files = folders.glob(f'out/set/bce/*/{name}/test/calibration_test.json')
        assert len([*files]) == 1


def test_study(folders, call):
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
    output, records = call('study.py', *options, '--base', str(base))
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


def test_a_folder_is_of_one_run(make_job, folders, image_folder):
    import jobs

    own = make_job(epochs=5).folder
    assert own == make_job(epochs=5).folder
    others = [make_job(epochs=6), make_job(epochs=5, ood=['ood'])]
    others += [
        replace(make_job(epochs=5), post_hoc=names) for names in (('ts',), ('lts',))
    ]
    others += [replace(make_job(epochs=5), swap=True)]
    spec = dict(loss=dict(type='SCBCELoss', eps=0.1), hook=None)
    others += [replace(make_job(epochs=5), spec=spec)]
    assert len({own, *(job.folder for job in others)}) == 7
    (folders / 'set' / '.DS_Store').touch()
    jobs.file_sizes.cache_clear()
    assert make_job(epochs=5).folder == own
    (folders / 'set').rename(folders / 'away')
    for split in ('train', 'val', 'test'):
        image_folder(folders / 'set' / split, 2, seed=1)
    jobs.file_sizes.cache_clear()
    assert make_job(epochs=5).folder != own


def test_a_config_that_changes_while_a_table_is_made_is_seen(make_job, tmp_path):
    base = tmp_path / 'base.py'
    text = f'_base_ = {str(SCRIPTS / "unet_64.py")!r}\n'
    base.write_text(text)
    job = make_job(base=base)
    job.check_unchanged()
    folder = job.folder
    base.write_text(text + 'optim_wrapper = dict(optimizer=dict(lr=0.5))\n')
    with pytest.raises(ValueError, match=r'base.py or the data of set changed'):
        job.check_unchanged()
    assert job.folder == folder  # where the results of before belong


def test_another_config_of_the_same_name_is_another_run(make_job, tmp_path):
    jobs = []
    for name, rate in (('a', 0.1), ('b', 0.2)):
        base = tmp_path / name / 'base.py'
        base.parent.mkdir()
        base.write_text(
            f'_base_ = {str(SCRIPTS / "unet_64.py")!r}\n'
            f'optim_wrapper = dict(optimizer=dict(lr={rate}))\n'
        )
        jobs.append(make_job(base=base))
    assert jobs[0].describe() == jobs[1].describe()
    assert jobs[0].folder != jobs[1].folder


def test_what_would_fail_is_said_before_the_first_run(make_job, folders, image_folder):
    from jobs import check_jobs

    def check(*jobs):
        check_jobs(jobs, jobs)

    check(make_job(train_images=6), make_job(train_images=6, seed=1))
    with pytest.raises(ValueError, match='set: 6 training images, 7 were asked for'):
        check(make_job(train_images=7, seed=2))
    for split in ('train', 'val', 'test'):
        image_folder(folders / 'other' / 'set' / split, 2, seed=1)
        image_folder(folders / 'holes' / split, 2, seed=1)
    with pytest.raises(ValueError, match=r'more than one folder \(set\)'):
        check(make_job(seed=3), make_job('other/set', seed=3))
    with pytest.raises(ValueError, match=r'more than one folder \(set\)'):
        check(make_job(seed=3, ood=['other/set']))
    next((folders / 'holes' / 'test' / 'masks').iterdir()).unlink()
    with pytest.raises(ValueError, match=r'holes: .* have no mask'):
        check(make_job(seed=3), make_job('holes', seed=3))
    with pytest.raises(ValueError, match='nowhere: '):
        check(make_job('nowhere'))
    check_jobs([make_job('nowhere')], [])  # a table needs no data
    assert not (folders / 'out').exists()


@pytest.fixture
def open_records(make_job, folders):
    """Open ``raw.json``, with some content, as the records of a table."""
    from records import Records

    def open_records(content=None, methods=('bce',), **setting):
        path = folders / 'raw.json'
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            path.write_text(text)
        return Records(path, make_job(**setting).setting, methods)

    return open_records


def test_records_of_another_table_are_refused(make_job, open_records, folders):
    record = dict(make_job(epochs=5).describe(), evaluations={})
    assert [r['seed'] for r in open_records([record], epochs=5).found] == [0]
    with pytest.raises(ValueError, match='holds runs of bce, which this script'):
        open_records(methods=['focal'], epochs=5)
    with pytest.raises(ValueError, match=r'a run of another table \(epochs: 5, now 6'):
        open_records(epochs=6)
    for text in ('[{"method": "ls_', '{"a": 1}', '[{"method": "bce"}]', '[1]'):
        with pytest.raises(ValueError, match=r'raw.json is .*no file of this'):
            open_records(text)
    (folders / 'raw.json').unlink()
    (folders / 'raw.json').mkdir()
    with pytest.raises(ValueError, match='is a folder'):
        open_records()


def test_a_record_is_found_by_its_own_fields(make_job, open_records, folders):
    import jobs

    job = make_job(epochs=5)
    record = dict(job.describe(), evaluations={}, digest=job.digest)
    earlier = dict(
        record, seed=1, files={}, setting=dict(record['setting'], config='x')
    )
    del earlier['digest']
    records = open_records([record, earlier], epochs=5)
    assert records.find(job) == record
    assert records.find(make_job(epochs=5, seed=1)) == earlier
    assert records.find(make_job(epochs=5, seed=2)) is None
    with pytest.raises(ValueError, match='seed 0 with another config, other data or'):
        records.find(replace(job, spec=dict(loss=dict(type='BrierLoss'), hook=None)))
    (folders / 'set').rename(folders / 'away')
    jobs.file_sizes.cache_clear()
    assert replace(job).digest != job.digest
    assert records.find(replace(job)) == record  # a table needs no data


def test_results_of_a_run_join_those_of_the_file(make_job, open_records):
    first, second = make_job(seed=1), make_job(seed=0)
    records = open_records([dict(first.describe(), evaluations={})])
    second.folder.mkdir(parents=True)
    second.results.write_text(json.dumps(dict(second.describe(), evaluations={})))
    records.add([second, make_job(seed=2)])
    records.save()
    assert [r['seed'] for r in open_records().found] == [0, 1]
    second.results.write_text('{"method": ')
    with pytest.raises(ValueError, match=r'run.json is damaged or no file of this'):
        open_records([]).find(second)


@pytest.mark.parametrize('name', ['few', 'all', 'study'])
def test_published_tables_are_those_of_their_records(monkeypatch, name):
    """The JSON files of earlier versions are read, and print what is published."""
    monkeypatch.syspath_prepend(SCRIPTS)
    from jobs import VALIDATION, Setting
    from methods import METHODS
    from records import Records
    from study import VARIANTS
    from tables import COLUMNS, OOD_COLUMNS, collect, markdown

    path = SCRIPTS / 'results' / f'{name}.json'
    written = json.loads(path.read_text())[0]['setting']
    fields = {key: written[key] for key in written if key not in ('base', 'config')}
    setting = Setting(base=str(SCRIPTS / 'unet_64.py'), **fields)
    methods = [*VARIANTS, *(f'{rule}, one level' for rule in VARIANTS)]
    if name != 'study':
        methods = [*METHODS]
    records = Records(path, setting, methods).found
    found, tests, ood = collect(records, VALIDATION)
    if name == 'study':
        printed = markdown(found, [VALIDATION], list(COLUMNS)[:7])
    else:
        printed = markdown(found, tests, COLUMNS)
        printed += '\n' + markdown(found, ood, OOD_COLUMNS)
    published = (SCRIPTS / 'results' / f'{name}.md').read_text().splitlines()
    assert printed.splitlines() == [line for line in published if line[:1] == '|']


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
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(folders), str(ROOT)])},
    )
    assert done.returncode == 1
    assert re.search(r'ls_0.1/seed0_\w+: its process was killed', done.stderr)
    assert re.search(r"brier/seed0_\w+: Twofold\('twofold'\)", done.stderr)
    assert '| set | bce |' in done.stdout and '| set | ls_0.2 |' in done.stdout
    records = json.loads((folders / 'raw.json').read_text())
    assert [record['method'] for record in records] == ['bce', 'ls_0.2']


def test_a_killed_table_leaves_no_run_behind(folders):
    """Started again, it would meet the old run in the same folder."""
    base = folders / 'base.py'
    base.write_text(
        f'_base_ = {str(SCRIPTS / "unet_64.py")!r}\n'
        "custom_imports = dict(imports=['mmaslp', 'waiter'])\n"
        "custom_hooks = [dict(type='Waiter')]\n"
    )
    (folders / 'waiter.py').write_text(
        'import os, time\n'
        'from pathlib import Path\n'
        'from mmengine.hooks import Hook\n'
        'from mmseg.registry import HOOKS\n'
        '@HOOKS.register_module()\n'
        'class Waiter(Hook):\n'
        '    def before_train(self, runner):\n'
        f'        file = Path({str(folders / "pid")!r})\n'
        '        file.with_suffix(".new").write_text(str(os.getpid()))\n'
        '        file.with_suffix(".new").rename(file)\n'
        '        time.sleep(100)\n'
    )
    command = [sys.executable, str(SCRIPTS / 'calibration.py'), '--seeds', '1']
    command += ['--data', str(folders / 'set'), '--out', str(folders / 'out')]
    command += ['--base', str(base), '--methods', 'bce', '--size', '32']
    path = os.pathsep.join([str(folders), str(ROOT)])
    table = subprocess.Popen(command, env={**os.environ, 'PYTHONPATH': path})
    try:
        assert wait_for((folders / 'pid').exists, 60)
    finally:
        table.kill()
        table.wait()
    pid = int((folders / 'pid').read_text())
    assert wait_for(lambda: not running(pid), 20)


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return condition()


def running(pid):
    """Whether there is such a process that has not ended."""
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != 'Z'
