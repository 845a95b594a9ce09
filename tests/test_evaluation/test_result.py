import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmaslp.commands import run_command
from mmaslp.evaluation import result as module
from mmaslp.evaluation import sums
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.evaluation.result import (
    load_results,
    save_result,
    strict_json,
)
from mmaslp.metrics import BandTable
from mmaslp.report.page import write_report


def measured(model='A', dataset='x', settings=None):
    rng = np.random.default_rng(0)
    evaluator = Evaluator()
    for name in 'ab':
        label = np.zeros((20, 30), np.uint8)
        label[:, 10:] = 1
        evaluator.add(name, rng.random((20, 30)), label)
    return evaluator.result(model, dataset, resamples=20, settings=settings)


def test_files_that_are_no_results_are_refused(tmp_path, monkeypatch):
    path = tmp_path / 'x.json'
    with pytest.raises(FileNotFoundError):
        load_results(path)
    for text, message in (
        ('{', 'Expecting'),
        ('[]', 'it is empty'),
        ('{"images": {}}', 'another version'),
        ('[' * 10**5, 'recursion'),
        ('\udcff', "can't decode"),
    ):
        path.write_bytes(text.encode(errors='surrogateescape'))
        match = f'is not a result file of mmaslp .*{message}'
        with pytest.raises(ValueError, match=match):
            load_results(path)
    monkeypatch.setattr(module, 'MAX_BYTES', 4)
    path.write_text('[1, 2, 3]')
    with pytest.raises(ValueError, match='has more than 4 bytes'):
        load_results(path)


def test_a_result_goes_around_its_file(tmp_path):
    result = measured(settings={'protocol': 'raw'})
    path = tmp_path / 'new' / 'r.json'  # the folder is made
    save_result(path, result)
    again = load_results(path)[0]
    assert strict_json(again.to_json()) == strict_json(result.to_json())
    assert again.metrics == result.metrics
    assert again.intervals == result.intervals
    assert again.settings == result.settings
    assert again.images.names == ['a', 'b']
    save_result(path, again, overwrite=True)
    assert load_results(path)[0].metrics == result.metrics


def test_what_is_undefined_stays_undefined(tmp_path):
    evaluator = Evaluator()
    evaluator.add('a', np.full((4, 4), 0.9), np.full((4, 4), 255))
    save_result(tmp_path / 'r.json', evaluator.result('A', 'x'))
    again = load_results(tmp_path / 'r.json')[0]
    assert np.isnan(again.metrics['ece'])
    assert np.isnan(again.intervals['ece']).all()
    assert not again.no_foreground  # nothing is known of it


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / 'r.json'
    odd = {'nan': float('nan'), 'inf': float('inf'), 'one': np.int64(1)}
    result = measured(settings=odd)
    save_result(path, result)
    kept = path.read_text()
    found = json.loads(kept)['settings']
    assert [found[key] for key in odd] == [None, None, 1.0]
    bad = {}
    bad['itself'] = bad
    with pytest.raises(ValueError, match='Circular'):
        save_result(path, replace(result, settings=bad), overwrite=True)
    assert path.read_text() == kept
    assert [each.name for each in tmp_path.iterdir()] == ['r.json']


def test_bands_of_a_result():
    result = measured()
    rng = np.random.default_rng(0)
    label = np.zeros((20, 30), np.uint8)
    label[:, 10:] = 1
    whole = BandTable()
    for _ in 'ab':
        whole.update(rng.random((20, 30)), label)

    computed = whole.compute()
    for key in ('ece_band', 'ece_band_true'):
        assert result.metrics[key] == computed[key]
        assert len(result.intervals[key]) == 2
    gaps = [result.metrics.get(f'band{k}_gap', np.nan) for k in range(5)]
    assert gaps == pytest.approx(computed['gaps'], nan_ok=True)

    content = result.to_json()
    assert content['bands']['edges'] == [1, 2, 4, 8]
    assert content['bands']['unit'] == 'sqrt(height * width) / 64 pixels'
    for border in ('predicted', 'true'):
        columns, table = content['bands'][border], whole.table(border)
        assert columns['count'] == table.count.tolist()
        assert columns['correct'] == table.correct.tolist()
        assert columns['conf'] == table.conf.tolist()


def edited(tmp_path, change):
    """Read a result whose file was changed."""
    content = json.loads(strict_json(measured().to_json()))
    change(content)
    (tmp_path / 'r.json').write_text(json.dumps(content))
    return load_results(tmp_path / 'r.json')[0]


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda c: c.pop('format'), 'another version: evaluate the model again'),
        (lambda c: c.update(format='mmaslp result 4'), 'another version'),
        (lambda c: c.pop('settings'), "it lacks 'settings'"),
        (lambda c: c['settings'].update(bins='10'), 'bins must be an integer'),
        (lambda c: c['settings'].update(mode='x'), 'mode must be one of'),
        (lambda c: c.update(ece='low'), 'ece must be a number'),
        (lambda c: c.update(ece=float('inf')), 'ece must be a number'),
        (lambda c: c.update(dice=7.0), 'dice cannot be 7'),
        (lambda c: c.update(nll=-5.0), 'nll cannot be -5'),
        (lambda c: c['intervals'].update(ece=[0.1, 9.0]), 'high ece cannot be 9'),
        (lambda c: c['intervals'].update(ece=[0.1]), 'not enough values to unpack'),
        (lambda c: c['images']['correct'][0].__setitem__(9, 10**6), 'correct must'),
        (lambda c: c['images']['count'].__setitem__(0, [1]), ''),
        (lambda c: c['images']['nll'].__setitem__(0, 1e308), 'nll must be'),
        (
            lambda c: c['images']['masks']['objects'].__setitem__(0, [[0.5, 0.5]]),
            'each real or not',
        ),
        (lambda c: c['images']['names'].__setitem__(0, 7), ''),
        (lambda c: c['images'].update(names=['0']), ''),
        (lambda c: c['images'].update(count=None), ''),
        (lambda c: c.update(ece=c['ece'] / 2), 'ece is .* sums of its images give'),
        (lambda c: c.update(dice=0.9), 'dice is 0.9, but the sums of its images give'),
        (lambda c: c.update(ece_band=None), 'ece_band is nan, but the sums'),
        (lambda c: c.update({k: 0.0 for k in c if 'gap' in k}), '_gap is 0, but'),
        (lambda c: c.pop('nll'), 'nll is nan, but the sums of its images give'),
        (lambda c: c.update(auroc_object=0.99), 'auroc_object is 0.99, but the'),
        (lambda c: c.update(brier_reliability=0.2), 'brier_reliability is 0.2, but'),
        (lambda c: c.update(ks=c['ks'] / 2), 'ks is .* it lies between'),
        (lambda c: c.update(ks=0.9), 'ks is 0.9, but by the sums .* between'),
        (lambda c: c.update(ks=None), 'ks is nan, but'),
        (lambda c: c.pop('ece_em'), 'ece_em is nan, but'),
        (lambda c: c.update(ece_sweep=0.9), 'ece_sweep is 0.9, but by the sums'),
        (lambda c: c.update(ece_em=0.0), 'ece_em is 0, but by the sums'),
        (lambda c: c.update(sweep_bins=2.5), 'sweep_bins is 2.5, and no number of'),
        (lambda c: c.update(sweep_bins=0), 'sweep_bins is 0, but'),
        (lambda c: c.update(sweep_bins=10**9), 'sweep_bins is 1e.09, but'),
        (
            lambda c: c['intervals'].update(ece=[0.1, 0.2]),
            'the low end of ece is 0.1, but the sums of its images give',
        ),
        (
            lambda c: c['intervals'].update(ece=[None, None]),
            'the low end of ece is nan, but',
        ),
        (lambda c: c['intervals'].update(ks=[0.1, 0.2]), 'ks has an interval, and is'),
        (lambda c: c['settings'].pop('resamples'), 'settings have no resamples'),
        (lambda c: c['positive'].update(acc=0.99), 'positive acc is 0.99, but'),
        (lambda c: c['positive'].update(brier=0.5), 'positive brier is 0.5, but'),
        (lambda c: c['positive'].update(ks=0.0), 'positive ks is 0, but by the sums'),
        (lambda c: c['positive'].update(ece=0.0), 'positive ece is 0, but by the'),
        (lambda c: c['positive'].update(sweep_bins=1.5), 'positive sweep_bins is 1.5'),
        (lambda c: c['positive'].pop('conf'), "it lacks 'conf'"),
    ],
)
def test_damaged_files_are_one_sentence_with_their_name(change, words, tmp_path):
    with pytest.raises(ValueError, match=rf'r\.json: is not a result file .*{words}'):
        edited(tmp_path, change)


def test_intervals_of_very_many_resamples_are_not_drawn_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sums, 'MOST_DRAWN', 39)  # of 2 images, 20 resamples
    result = edited(tmp_path, lambda c: c['intervals'].update(ece=[0.1, 0.2]))
    assert result.intervals['ece'] == [0.1, 0.2]


def test_a_file_may_hold_several_results(tmp_path):
    path = tmp_path / 'both.json'
    save_result(path, [measured('A', 'x'), measured('B', 'y')])
    found = [(each.model, each.dataset) for each in load_results(path)]
    assert found == [('A', 'x'), ('B', 'y')]


@pytest.mark.parametrize('given', [[], 5, {'ece': 0.1}, ['x']])
def test_what_is_no_result_is_refused(tmp_path, given):
    with pytest.raises(ValueError, match='must be a list of Result'):
        save_result(tmp_path / 'r.json', given)
    with pytest.raises(ValueError, match='results must be a list of Result'):
        write_report(tmp_path / 'r.html', given)
    assert not [*tmp_path.iterdir()]


def test_settings_of_any_kind_are_kept_as_text_or_numbers():
    given = {'file': Path('a/b'), 'sizes': np.arange(2), 'one': np.int64(3)}
    found = json.loads(strict_json(given))
    assert found == {'file': str(Path('a/b')), 'sizes': [0, 1], 'one': 3}


def test_objects_have_lines_and_lists_of_numbers_one():
    content = {
        'a': math.nan,
        'NaN "b"': {'rows': [[1, 2], [math.inf, np.float64(-math.inf)]], 'none': {}},
        'c': [{1: 'NaN'}, {'d': np.arange(2)}],
    }
    assert strict_json(content, 1).splitlines() == [
        '{',
        ' "a": null,',
        ' "NaN \\"b\\"": {',
        '  "rows": [[1, 2], [null, null]],',
        '  "none": {}',
        ' },',
        ' "c": [',
        '  {',
        '   "1": "NaN"',
        '  },',
        '  {',
        '   "d": [0, 1]',
        '  }',
        ' ]',
        '}',
    ]
    assert json.loads(strict_json(content)) == json.loads(strict_json(content, 1))


def test_a_metric_of_any_range_goes_around_its_file(tmp_path):
    """Also one above 1 of which no side is better."""
    result = measured()
    metrics = {**result.metrics, 'holes': 3.5, 'drop': -2.0}
    save_result(tmp_path / 'r.json', replace(result, metrics=metrics))
    [again] = load_results(tmp_path / 'r.json')
    assert again.metrics['holes'] == 3.5
    assert again.metrics['drop'] == -2


def test_an_edited_metric_is_refused_by_every_command(tmp_path, capsys):
    paths = [str(tmp_path / name) for name in ('one.json', 'other.json')]
    for path, model in zip(paths, 'AB'):
        save_result(path, measured(model))
    content = json.loads(Path(paths[1]).read_text())
    content['ece'] /= 2
    Path(paths[1]).write_text(json.dumps(content))
    page = str(tmp_path / 'x.html')
    for command in (['compare', *paths], ['report', *paths, '-o', page]):
        assert run_command(command[0], command[1:]) == 2
        assert 'other.json: is not a result file' in capsys.readouterr().err
    assert not Path(page).exists()


def test_a_set_that_is_said_to_hold_nothing_holds_nothing(tmp_path):
    path = tmp_path / 'x.json'
    save_result(path, measured('A'))
    content = json.loads(path.read_text())
    content['no_foreground'] = True
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r'x\.json.*no_foreground is true'):
        load_results(path)


def test_a_page_of_an_image_that_is_there_twice_names_the_file(tmp_path, capsys):
    paths = [str(tmp_path / name) for name in ('one.json', 'other.json')]
    for path, model in zip(paths, 'AB'):
        save_result(path, measured(model))
    content = json.loads(Path(paths[1]).read_text())
    names = content['images']['names']
    names[1] = names[0]
    Path(paths[1]).write_text(json.dumps(content))
    assert run_command('report', [*paths, '-o', str(tmp_path / 'x.html')]) == 2
    assert 'other.json: the same image is in it more than' in capsys.readouterr().err
