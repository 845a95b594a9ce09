"""The benchmark of calibration: real runs on tiny data, and its tables."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytestmark = pytest.mark.release

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
