import json
import tempfile

import numpy as np
import pytest

from mmaslp.core.measure import (
    BandTable,
    CalibrationHistogram,
    ImageTable,
    band_columns,
)
from mmaslp.files.results import (
    calibration_result,
    load_result,
    save_result,
    scalar_metrics,
)


def test_result_files_of_others_are_refused():
    with tempfile.TemporaryDirectory() as folder:
        path = f'{folder}/x.json'
        with pytest.raises(ValueError, match='cannot be read'):
            load_result(path)
        for text in ('{', '[]', '{"images": {}}'):
            with open(path, 'w') as file:
                file.write(text)
            with pytest.raises(ValueError, match='not a result file of mmaslp'):
                load_result(path)


def measured(**kwargs):
    rng = np.random.default_rng(0)
    histogram, records = CalibrationHistogram(), []
    for name in 'ab':
        image = CalibrationHistogram()
        image.update(rng.random(50), rng.random(50) < 0.5)
        histogram.merge(image)
        records.append(ImageTable.record(name, image))
    return calibration_result(histogram, ImageTable(records), resamples=20, **kwargs)


def test_a_result_goes_around_its_file(tmp_path):
    result = measured(settings={'protocol': 'raw'})
    path = tmp_path / 'new' / 'r.json'  # the folder is made
    save_result(path, result)
    again, images = load_result(path)
    assert again['ece'] == result['ece'] and again['settings'] == result['settings']
    assert again['intervals']['ece_em'] == result['intervals']['ece_em']
    assert 'ks' not in result['intervals']
    assert again['bins']['low'][0] is None  # of an empty bin
    assert images.names == ['a', 'b'] and images.fine is not None
    # Keys that files of earlier versions have, and later tools read.
    assert {'count', 'right', 'conf', 'low', 'high'} == set(again['bins'])
    assert {'names', 'count', 'right', 'conf', 'narrow'} < set(again['images'])
    assert set(scalar_metrics(result)) == {
        *CalibrationHistogram().compute(),
        'ece_image',
    } - {'count'}


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / 'r.json'
    save_result(path, {'ece': 0.5, 'ks': float('nan'), 'bins': [float('inf'), 1.0]})
    kept = path.read_text()
    assert json.loads(kept) == {'ece': 0.5, 'ks': None, 'bins': [None, 1.0]}
    with pytest.raises(TypeError):
        save_result(path, {'ece': object()})
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
        records.append(ImageTable.record(name, image, bands=bands))
    result = calibration_result(histogram, ImageTable(records), resamples=20)
    computed = whole.compute()
    scalars = scalar_metrics(result)
    for key in ('ece_band', 'ece_band_true'):
        assert scalars[key] == computed[key]
        assert len(result['intervals'][key]) == 2
    for k in range(5):
        for key in ('gap', 'share'):
            expected = computed[f'{key}s'][k]
            assert scalars.get(f'band{k}_{key}', np.nan) == pytest.approx(
                expected, nan_ok=True
            )
    save_result(tmp_path / 'r.json', result)
    again, images = load_result(tmp_path / 'r.json')
    assert images.bands.sums.sum(0).tolist() == whole.sums.tolist()
    assert again['bands']['edges'] == [1, 2, 4, 8]
    assert again['bands']['unit'] == 'sqrt(height * width) / 64 pixels'
    for border in ('predicted', 'true'):
        columns, table = again['bands'][border], whole.table(border)
        assert columns['count'] == table.count.tolist()
        assert columns['right'] == table.correct.tolist()
        assert columns['conf'] == table.conf.tolist()
        assert set(columns) == {*('count', 'right', 'conf'), *band_columns(table)}
    old = {key: value for key, value in result.items() if key != 'format'}
    save_result(tmp_path / 'old.json', old)
    with pytest.raises(ValueError, match='by another version: evaluate the model'):
        load_result(tmp_path / 'old.json')
    # Images of other heads.
    for record in records:
        del record['bands']
    older = calibration_result(histogram, ImageTable(records), resamples=20)
    assert not [key for key in (*older, *older['intervals']) if 'band' in key]
