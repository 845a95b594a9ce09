"""The script that measures what validation and test images differ by."""

import json
from pathlib import Path

import numpy as np
import pytest

from mmaslp.core import BandTable, CalibrationHistogram
from mmaslp.core.measure import BinTable, ImageBands, ImageTable
from mmaslp.files.results import calibration_result, save_result
from tests.scripts import run_script

pytestmark = pytest.mark.release

SCRIPTS = Path(__file__).resolve().parents[2] / 'benchmarks'


@pytest.fixture
def sampling(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import sampling

    return sampling


def bands(*rows):
    """Sums of bands of pixels, correct ones and confidence."""
    return BinTable(*np.array(rows, np.float64).T)


def test_error_by_band_by_hand(sampling):
    tested = bands((30, 15, 18), (10, 9, 8), (0, 0, 0))  # gaps .1, -.1
    fitted = bands((10, 5, 5.5), (0, 0, 0), (5, 5, 1))  # gaps .05, none, -.8
    assert sampling.error_by_band(tested) == pytest.approx(0.1)
    left = sampling.error_by_band(tested, fitted)
    assert left == pytest.approx(0.75 * 0.05 + 0.25 * 0.1)


def images(gaps):
    """Images of one band with 100 pixels, 50 of them correct, and these gaps."""
    sums = np.zeros((len(gaps), 2, 5, 3), np.int64)
    confidence = np.rint(100 * (0.5 + np.asarray(gaps)) * BandTable.UNIT)
    sums[:, :, 0] = np.stack(
        [np.full(len(gaps), 100), np.full(len(gaps), 50), confidence], -1
    )[:, None]
    return ImageBands((1, 2, 4, 8), sums)


def test_images_that_are_all_alike_leave_nothing(sampling):
    found = sampling.measure(images([0.2] * 4), images([0.2] * 6), 50, 0)
    assert found['error'] == pytest.approx(0.2)
    assert [found['left'], found['mean'], *found['interval']] == pytest.approx([0] * 4)


def test_splits_have_the_sizes_of_the_sets(sampling):
    """One image in ten differs: it is in the fit (1 of 4), or in the test (1 of 6)."""
    found = sampling.measure(images([0.4, 0, 0, 0]), images([0.0] * 6), 4000, 0)
    assert (found['error'], found['left']) == pytest.approx((0, 0.1))
    expected = 0.4 * 0.4 / 4 + 0.6 * 0.4 / 6
    assert found['mean'] == pytest.approx(expected, abs=0.002)
    assert found['interval'] == pytest.approx([0.4 / 6, 0.1])
    assert sampling.measure(images([0.4] * 2), images([0.0]), 9, 3) == sampling.measure(
        images([0.4] * 2), images([0.0]), 9, 3
    )


def test_only_the_shares_of_tested_images_count(sampling):
    """The image that differs fills a band that no other has: 0 if it is in the fit."""
    odd = images([0.4])
    odd.sums[:, :, 1] = odd.sums[:, :, 0]
    odd.sums[:, :, 0] = 0
    alike = images([0.0] * 5)
    test = ImageBands(odd.edges, np.concatenate([odd.sums, alike.sums]))
    found = sampling.measure(images([0.0] * 4), test, 4000, 0)
    assert (found['error'], found['left']) == pytest.approx((0.4 / 6, 0.4 / 6))
    assert found['interval'] == pytest.approx([0, 0.4 / 6])


def write_result(path, number, seed, bands=True):
    rng = np.random.default_rng(seed)
    whole, rows = CalibrationHistogram(), []
    for k in range(number):
        one, table = CalibrationHistogram(), BandTable()
        prob, label = rng.random((16, 16)), rng.integers(0, 2, (16, 16))
        for each in (one, table):
            each.update(prob, label)
        whole.merge(one)
        rows.append(ImageTable.record(f'{k}', one, bands=table if bands else None))
    path.parent.mkdir(parents=True, exist_ok=True)
    result = calibration_result(whole, ImageTable(rows), resamples=0)
    save_result(path, result)
    return result


def test_the_script_adds_runs_to_its_file(tmp_path):
    errors = []
    for seed in (0, 1):
        run = tmp_path / 'table' / 'set' / 'bce' / f'seed{seed}_0123' / 'eval'
        write_result(run / 'val' / 'calibration_test.json', 4, seed)
        result = write_result(run / 'test' / 'calibration_test.json', 3, seed + 9)
        errors.append(result['ece_band'])
        done = run_script(
            SCRIPTS / 'sampling.py', run, '--json', tmp_path / 'rows.json'
        )
        assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / 'rows.json').read_text())
    assert [row['seed'] for row in rows] == ['0', '1']
    assert [row['error'] for row in rows] == pytest.approx(errors)
    for row in rows:
        assert (row['table'], row['data'], row['method']) == ('table', 'set', 'bce')
        assert row['images'] == [4, 3]
        assert row['interval'][0] < row['mean'] < row['interval'][1]


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('few/set/bce/seed0_01/eval', 'has no bands: test again'),
        ('eval', 'is no TABLE/data/method/seedN_digest/eval'),
    ],
)
def test_folders_that_do_not_serve(tmp_path, name, message):
    run = tmp_path / name
    for split in ('val', 'test'):
        write_result(run / split / 'calibration_test.json', 2, 0, bands='/' not in name)
    done = run_script(SCRIPTS / 'sampling.py', run, '--json', tmp_path / 'rows.json')
    assert done.returncode != 0 and message in done.stderr
    assert 'Traceback' not in done.stderr
