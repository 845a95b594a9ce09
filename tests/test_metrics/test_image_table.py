import json

import numpy as np
import pytest
import torch

from mmaslp.metrics import BandTable, ImageTable
from mmaslp.metrics.errors import binned_metrics
from mmaslp.metrics.image_metrics import image_metrics, mean_ece, overlap
from tests.test_metrics.pixels import images, table_of
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
    empty = (np.full((4, 4), 0.5), np.full((4, 4), 255))
    three = [scene(20, 20, seed) for seed in range(3)]
    mean = mean_ece(table_of(*three))
    assert mean_ece(table_of(*three, empty)) == pytest.approx(mean)
    assert np.isnan(mean_ece(table_of(empty)))
    assert np.isnan(mean_ece(ImageTable.empty()))


def test_table_goes_around_json():
    table, _ = images(4)
    again = ImageTable.from_json(table.to_json(), 10)
    assert again.names == table.names
    assert np.array_equal(again.table.conf, table.table.conf)
    with pytest.raises(ValueError, match=r'count must be whole .* shape \(4, 15\)'):
        ImageTable.from_json(table.to_json(), 15)
    broken = table.to_json()
    broken['nll'] = broken['nll'][1:]
    with pytest.raises(ValueError, match=r'nll must be numbers .* shape \(4,\)'):
        ImageTable.from_json(broken, 10)
    del broken['nll']
    with pytest.raises(KeyError, match='nll'):
        ImageTable.from_json(broken, 10)


def test_overlap_of_masks_is_that_of_the_bands():
    scenes = [scene(30 + seed, 40, seed) for seed in range(3)]
    bands = BandTable()
    for image in scenes:
        bands.update(*image)

    table = table_of(*scenes)
    found = overlap(table)
    iou = bands.compute()['iou']
    assert found['iou'] == pytest.approx(iou)
    assert 0 < iou < 1
    assert found['dice'] == pytest.approx(2 * iou / (1 + iou))
    assert overlap(table, np.array([[1, 1, 1], [0, 2, 0]]))['iou'][0] == found['iou']

    assert table_of(*scenes, mode='positive').masks is None
    nothing = [(prob, torch.zeros_like(label)) for prob, label in scenes]
    assert overlap(table_of(*nothing)) == {}


def banded(number=4):
    return table_of(*(scene(30 + seed, 40, seed) for seed in range(number)))


def test_bands_of_all_images_or_of_none():
    table = banded()
    again = ImageTable.from_json(json.loads(json.dumps(table.to_json())), 10)
    assert np.array_equal(again.bands.conf, table.bands.conf)
    rows = [2, 0]
    assert np.array_equal(table.take(rows).bands.count, table.bands.count[rows])
    assert table.take(rows).masks.objects[1] is table.masks.objects[0]

    without = table_of(scene(30, 40, 0), mode='positive')
    assert ImageTable.join([table, without]).bands is None


@pytest.mark.parametrize(
    ('damage', 'words'),
    [
        (lambda c: c['bands']['edges'].pop(), 'other edges'),
        (lambda c: c['bands']['sums'][0][0].pop(), 'bands must be'),
        (lambda c: c['bands']['sums'][0].pop(), 'bands must be'),
        (lambda c: c['bands']['sums'][0][1][4].__setitem__(0, 0.5), 'bands must'),
        (lambda c: c['bands']['sums'][0][1][4].__setitem__(0, 7), 'bands'),
        (lambda c: c['bands']['sums'][0][1][4].__setitem__(1, -1), 'bands must'),
        (lambda c: c['count'][0].__setitem__(0, 0.5), 'count must be whole'),
        (lambda c: c['correct'][0].__setitem__(9, 10**6), 'correct must be'),
        (lambda c: c['conf'][0].__setitem__(9, float('nan')), 'conf must be'),
        (lambda c: c['nll'].__setitem__(0, float('inf')), 'nll must be'),
        (lambda c: c['brier'].__setitem__(0, -1.0), 'brier must be'),
        (lambda c: c['names'].__setitem__(0, 3), 'must be a text'),
        (lambda c: c['masks']['foreground'].__setitem__(0, 10**6), 'foreground must'),
        (lambda c: c['masks']['dice'].__setitem__(0, 2.0), 'dice must be'),
        (lambda c: c['masks']['objects'].pop(), 'a list for each image'),
    ],
)
def test_damaged_tables_are_refused(damage, words):
    content = json.loads(json.dumps(banded().to_json()))
    damage(content)
    with pytest.raises(ValueError, match=words):
        ImageTable.from_json(content, 10)


def test_what_is_found_where_nothing_is():
    images = []
    shares = (0.0, 0.25, 0.5)
    for share in shares:
        prob = np.full((8, 8), 0.1)
        prob[: round(8 * share)] = 0.9
        images.append((prob, np.zeros((8, 8), np.uint8)))
    images.append((np.full((8, 8), 0.9), np.ones((8, 8), np.uint8)))

    table = table_of(*images)
    found = image_metrics(table)
    assert found['empty_found'] == pytest.approx(2 / 3)
    assert found['empty_area'] == pytest.approx(np.mean(shares))
    drawn = image_metrics(table, np.array([[3, 1, 0, 2], [0, 0, 0, 4]]))
    assert drawn['empty_found'] == pytest.approx([0.25, np.nan], nan_ok=True)
    assert drawn['empty_area'] == pytest.approx([0.0625, np.nan], nan_ok=True)
    assert 'empty_found' not in image_metrics(table.take([3]))
