import json
from dataclasses import replace

import numpy as np
import pytest

from mmaslp.metrics import (
    BandTable,
    CalibrationHistogram,
    ImageRow,
    ImageTable,
    binned_metrics,
)
from mmaslp.metrics.catalogue import figures_of_images
from tests.test_metrics.pixels import filled, images, smooth
from tests.test_metrics.scenes import scene


@pytest.mark.parametrize('bins', [5, 10, 15])
@pytest.mark.parametrize('mode', ['top_label', 'positive'])
def test_rows_add_up_to_the_histogram(bins, mode):
    table, total = images(6, bins=bins, mode=mode)
    found, expected = binned_metrics(table.table.pooled()), total.compute(bins, mode)
    for key, value in found.items():
        assert float(value) == pytest.approx(expected[key], abs=1e-12), key
    assert table.nll.sum() / total.count == pytest.approx(expected['nll'])
    assert table.brier.sum() / total.count == pytest.approx(expected['brier'])
    assert table.num_pixels.sum() == total.count


def test_image_without_valid_pixels_is_left_out_of_the_mean():
    empty = ImageRow.of('empty', CalibrationHistogram())
    own = [ImageRow.of(str(k), filled(*smooth(k))) for k in range(3)]
    three = ImageTable.of_rows(own).mean_ece()
    assert ImageTable.of_rows([*own, empty]).mean_ece() == pytest.approx(three)
    assert np.isnan(ImageTable.of_rows([empty]).mean_ece())
    assert np.isnan(ImageTable.of_rows([]).mean_ece())


def test_table_goes_around_json():
    table, _ = images(4)
    again = ImageTable.from_json(table.to_json(), 10)
    assert again.names == table.names
    assert np.array_equal(again.table.conf, table.table.conf)
    with pytest.raises(
        ValueError, match='count of the image table must be 15 integers'
    ):
        ImageTable.from_json(table.to_json(), 15)
    broken = table.to_json()
    broken['nll'] = broken['nll'][1:]
    with pytest.raises(ValueError, match='differ in length'):
        ImageTable.from_json(broken, 10)
    del broken['nll']
    with pytest.raises(ValueError, match='lacks nll'):
        ImageTable.from_json(broken, 10)


def test_overlap_of_masks_is_that_of_the_bands():
    records, bands = [], BandTable()
    for seed in range(3):
        image, histogram = scene(30 + seed, 40, seed), CalibrationHistogram()
        histogram.update(*image)
        bands.update(*image)
        records.append(ImageRow.of(str(seed), histogram))
    table = ImageTable.of_rows(records)
    found = table.overlap()
    iou = bands.compute()['iou']
    assert found['iou'] == pytest.approx(iou)
    assert 0 < iou < 1
    assert found['dice'] == pytest.approx(2 * iou / (1 + iou))
    assert table.overlap(np.array([[1, 1, 1], [0, 2, 0]]))['iou'][0] == found['iou']
    assert ImageRow.of('a', histogram, mode='positive').predicted is None
    nothing = [replace(row, foreground=0) for row in records]
    assert ImageTable.of_rows(nothing).overlap() == {}


def banded(number=4):
    records = []
    for seed in range(number):
        image, histogram, bands = scene(30 + seed, 40, seed), *measures()
        histogram.update(*image)
        bands.update(*image)
        records.append(ImageRow.of(str(seed), histogram, bands=bands))
    return records


def measures():
    return CalibrationHistogram(), BandTable()


def test_bands_of_all_images_or_of_none():
    records = banded()
    table = ImageTable.of_rows(records)
    again = ImageTable.from_json(table.to_json(), 10)
    assert np.array_equal(again.bands.conf, table.bands.conf)
    rows = [2, 0]
    assert np.array_equal(table.take(rows).bands.count, table.bands.count[rows])
    empty, nothing = measures()
    assert ImageTable.of_rows([*records, ImageRow.of('x', empty, bands=nothing)])
    assert ImageTable.of_rows([*records, ImageRow.of('x', empty)]).bands is None
    odd = ImageRow.of('a', filled(*smooth(9)), bands=nothing)
    with pytest.raises(ValueError, match='a: its bands and its bins hold other numbe'):
        ImageTable.of_rows([odd])


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (lambda c: c['bands']['edges'].pop(), 'other edges'),
        (lambda c: c['bands']['sums'][0][0].pop(), 'bands of the image table must be'),
        (lambda c: c['bands']['sums'][0].pop(), 'bands of the image table must be'),
        (lambda c: c['bands']['sums'][0][1][4].__setitem__(0, 0.5), 'integers a row'),
        (lambda c: c['bands']['sums'][0][1][4].__setitem__(0, 7), 'of pixels'),
        (lambda c: c['count'][0].__setitem__(0, 0.5), 'integers a row'),
        (lambda c: c['names'].__setitem__(0, 3), 'not a text'),
        (lambda c: c['foreground'].__setitem__(0, 10**6), 'more foreground'),
    ],
)
def test_damaged_tables_are_refused(damage, words):
    content = json.loads(json.dumps(ImageTable.of_rows(banded()).to_json()))
    damage(content)
    with pytest.raises(ValueError, match=words):
        ImageTable.from_json(content, 10)


def test_what_is_found_where_nothing_is():
    rows = []
    shares = (0.0, 0.25, 0.5)
    for number, share in enumerate(shares):
        prob = np.full((8, 8), 0.1)
        prob[: round(8 * share)] = 0.9
        histogram = CalibrationHistogram()
        histogram.update(prob, np.zeros((8, 8), np.uint8))
        rows.append(ImageRow.of(str(number), histogram))
    objects = CalibrationHistogram()
    objects.update(np.full((8, 8), 0.9), np.ones((8, 8), np.uint8))
    rows.append(ImageRow.of('with an object', objects))
    table = ImageTable.of_rows(rows)
    found = figures_of_images(table)
    assert found['empty_found'] == pytest.approx(2 / 3)
    assert found['empty_area'] == pytest.approx(np.mean(shares))
    drawn = figures_of_images(table, np.array([[3, 1, 0, 2], [0, 0, 0, 4]]))
    assert drawn['empty_found'] == pytest.approx([0.25, np.nan], nan_ok=True)
    assert drawn['empty_area'] == pytest.approx([0.0625, np.nan], nan_ok=True)
    assert 'empty_found' not in figures_of_images(table.take([3]))
