import json
from dataclasses import replace

import numpy as np
import pytest

from mmaslp.evaluation import result_files as module
from mmaslp.evaluation.result import calibration_result
from mmaslp.evaluation.result_files import (
    load_result,
    load_results,
    save_result,
    strict_json,
)
from mmaslp.metrics import (
    BandTable,
    CalibrationHistogram,
    ImageRow,
    ImageTable,
    band_columns,
)


def test_result_files_of_others_are_refused(tmp_path, monkeypatch):
    path = tmp_path / 'x.json'
    with pytest.raises(ValueError, match='cannot be read'):
        load_result(path)
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
            load_result(path)
    monkeypatch.setattr(module, 'MAX_BYTES', 4)
    path.write_text('[1, 2, 3]')
    with pytest.raises(ValueError, match='larger than 4 bytes'):
        load_result(path)


def measured(**kwargs):
    rng = np.random.default_rng(0)
    histogram, records = CalibrationHistogram(), []
    for name in 'ab':
        image = CalibrationHistogram()
        image.update(rng.random(50), rng.random(50) < 0.5)
        histogram.merge(image)
        records.append(ImageRow.of(name, image))
    return calibration_result(
        histogram, ImageTable.of_rows(records), resamples=20, **kwargs
    )


def test_a_result_goes_around_its_file(tmp_path):
    result = measured(settings={'protocol': 'raw'})
    path = tmp_path / 'new' / 'r.json'  # the folder is made
    save_result(path, result)
    again = load_result(path)
    assert again.metrics['ece'] == pytest.approx(result.metrics['ece'], abs=1e-12)
    assert again.settings == result.settings
    assert again.intervals['ece'] == result.intervals['ece']
    assert np.isnan(again.bin_intervals[0][0])  # of an empty bin
    assert again.images.names == ['a', 'b']
    # Keys that files of earlier versions have, and later tools read.
    content = json.loads(path.read_text())
    assert {'count', 'right', 'conf', 'low', 'high'} == set(content['bins'])
    assert {'names', 'count', 'right', 'conf'} < set(content['images'])
    assert {key for key in content if isinstance(content[key], float)} == {
        *CalibrationHistogram().compute(),
        *('ece_image', 'dice', 'iou'),
    } - {'count'}


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / 'r.json'
    odd = {'nan': float('nan'), 'inf': float('inf'), 'one': 1.0}
    result = measured(settings=odd)
    save_result(path, result)
    kept = path.read_text()
    found = json.loads(kept)['settings']
    assert [found[key] for key in odd] == [None, None, 1.0]
    with pytest.raises(TypeError):
        save_result(path, replace(result, settings={'bins': object()}))
    assert path.read_text() == kept
    assert [each.name for each in tmp_path.iterdir()] == ['r.json']


def test_bands_of_a_result(tmp_path):
    rng = np.random.default_rng(0)
    histogram, whole, records = CalibrationHistogram(), BandTable(), []
    for name in 'abc':
        image, bands = CalibrationHistogram(), BandTable()
        prob, label = rng.random((20, 30)), np.zeros((20, 30), np.uint8)
        label[:, 10:] = prob[:, :10] = 1
        for each in (image, bands):
            each.update(prob, label)
        histogram.merge(image)
        whole.merge(bands)
        records.append(ImageRow.of(name, image, bands=bands))
    result = calibration_result(histogram, ImageTable.of_rows(records), resamples=20)
    computed, scalars = whole.compute(), result.metrics
    for key in ('ece_band', 'ece_band_true'):
        assert scalars[key] == computed[key]
        assert len(result.intervals[key]) == 2
    gaps = [scalars.get(f'band{k}_gap', np.nan) for k in range(5)]
    assert gaps == pytest.approx(computed['gaps'], nan_ok=True)
    save_result(tmp_path / 'r.json', result)
    again = load_result(tmp_path / 'r.json').to_json()
    assert (
        load_result(tmp_path / 'r.json').images.bands.pooled().count.tolist()
        == whole.sums[..., 0].tolist()
    )
    assert again['bands']['edges'] == [1, 2, 4, 8]
    assert again['bands']['unit'] == 'sqrt(height * width) / 64 pixels'
    for border in ('predicted', 'true'):
        columns, table = again['bands'][border], whole.table(border)
        assert columns['count'] == table.count.tolist()
        assert columns['right'] == table.correct.tolist()
        assert columns['conf'] == table.conf.tolist()
        assert set(columns) == {*('count', 'right', 'conf'), *band_columns(table)}
    # Images of other heads.
    records = [replace(row, bands=None) for row in records]
    older = calibration_result(histogram, ImageTable.of_rows(records), resamples=20)
    assert not [key for key in (*older.to_json(), *older.intervals) if 'band' in key]


def edited(tmp_path, change):
    """Read a result whose file was changed."""
    content = json.loads(strict_json(measured().to_json()))
    change(content)
    (tmp_path / 'r.json').write_text(json.dumps(content))
    return load_result(tmp_path / 'r.json').to_json()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda c: c.pop('format'), 'another version: evaluate the model again'),
        (lambda c: c.update(format='mmaslp result 5'), 'another version'),
        (lambda c: c.pop('settings'), "it lacks 'settings'"),
        (lambda c: c['settings'].update(bins='10'), 'bins must be an integer'),
        (lambda c: c['settings'].update(mode='x'), 'mode must be one of'),
        (lambda c: c.update(model=3), '3 is not a text'),
        (lambda c: c['images']['count'].__setitem__(0, [1]), ''),
        (lambda c: c['images']['names'].__setitem__(0, 7), ''),
        (lambda c: c['images'].update(names=['0']), ''),
        (lambda c: c.update(pictures=[{}]), 'it lacks'),
    ],
)
def test_version_and_types_are_checked(change, words, tmp_path):
    with pytest.raises(ValueError, match=rf'r\.json: is not a result file .*{words}'):
        edited(tmp_path, change)


@pytest.mark.parametrize(
    'key', ['ece', 'oe', 'acc', 'brier', 'nll', 'dice', 'num_images', 'bins']
)
def test_an_edited_figure_is_computed_anew(key, tmp_path):
    change = {key: {'count': []} if key == 'bins' else 0}
    found = edited(tmp_path, lambda content: content.update(change))
    whole = edited(tmp_path, lambda content: None)
    assert strict_json(found[key]) == strict_json(whole[key])
    assert strict_json(whole[key]) == strict_json(measured().to_json()[key])


def test_an_edited_interval_is_computed_anew(tmp_path):
    change = {'intervals': {'ece': [0.0, 0.0]}}
    found = edited(tmp_path, lambda content: content.update(change))
    assert strict_json(found['intervals']) == strict_json(measured().intervals)


def test_a_file_may_hold_several_results(tmp_path):
    one, two = measured(model='A', dataset='x'), measured(model='B')
    path = tmp_path / 'both.json'
    save_result(path, [one, two])
    found = load_results(path)
    assert [(each.model, each.dataset) for each in found] == [
        ('A', 'x'),
        ('B', 'test'),
    ]
    assert load_result(path, 'B').model == 'B'
    with pytest.raises(ValueError, match=r"2 result\(s\), of 'A', 'B': name one"):
        load_result(path)
    with pytest.raises(ValueError, match='name one'):
        load_result(path, 'C')
