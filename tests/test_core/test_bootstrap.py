import numpy as np
import pytest
import torch

from mmaslp.core import CalibrationHistogram
from mmaslp.core.bootstrap import bootstrap, paired_bootstrap
from mmaslp.core.calibration import binned_figures
from mmaslp.core.image_table import ImageTable


def images(number, seed=0, gain=1.0, size=200, bins=10, mode='top_label'):
    """Records of images of different sizes, and the histogram of all."""
    rng = np.random.default_rng(seed)
    total, records = CalibrationHistogram(), []
    for i in range(number):
        logit = rng.normal(rng.normal(0, 1), 2, size + 10 * i)
        label = rng.random(logit.shape) < 1 / (1 + np.exp(-logit))
        image = CalibrationHistogram()
        image.update(1 / (1 + np.exp(-gain * logit)), label)
        total.merge(image)
        records.append(ImageTable.record(f'{i}.png', image, bins, mode))
    return ImageTable(records, bins), total


@pytest.mark.parametrize('bins', [5, 10, 15])
@pytest.mark.parametrize('mode', ['top_label', 'positive'])
def test_rows_add_up_to_the_histogram(bins, mode):
    table, total = images(6, bins=bins, mode=mode)
    found, expected = binned_figures(table.table.pooled()), total.compute(bins, mode)
    for key, value in found.items():
        assert float(value) == pytest.approx(expected[key], abs=1e-12), key
    assert table.nll.sum() / total.count == pytest.approx(expected['nll'])
    assert table.brier.sum() / total.count == pytest.approx(expected['brier'])
    assert table.num_pixels.sum() == total.count


def test_mean_over_images_is_not_the_pooled_figure():
    table, total = images(5)
    each = []
    for row in range(5):
        each.append(float(binned_figures(table.take([row]).table.pooled())['ece']))
    assert table.mean_ece() == pytest.approx(np.mean(each))
    assert table.mean_ece() != pytest.approx(total.compute()['ece'], rel=1e-3)


def test_image_without_valid_pixels_is_left_out_of_the_mean():
    table, _ = images(3)
    empty = ImageTable.record('empty', CalibrationHistogram())
    records = [
        {
            'name': name,
            'count': table.table.count[i],
            'right': table.table.right[i],
            'conf': table.table.conf[i],
            'nll': table.nll[i],
            'brier': table.brier[i],
        }
        for i, name in enumerate(table.names)
    ]
    assert ImageTable([*records, empty]).mean_ece() == pytest.approx(table.mean_ece())
    assert np.isnan(ImageTable([empty]).mean_ece())
    assert np.isnan(ImageTable([]).mean_ece())


def test_table_goes_around_json():
    table, _ = images(4)
    again = ImageTable.from_json(table.to_json(), 10)
    assert again.names == table.names
    assert np.array_equal(again.table.conf, table.table.conf)
    with pytest.raises(ValueError, match='has not 15 bins'):
        ImageTable.from_json(table.to_json(), 15)
    broken = table.to_json()
    broken['nll'] = broken['nll'][1:]
    with pytest.raises(ValueError, match='differ in length'):
        ImageTable.from_json(broken, 10)
    del broken['nll']
    with pytest.raises(ValueError, match=r"lacks the columns .'nll'"):
        ImageTable.from_json(broken, 10)


def test_intervals_equal_resampling_by_hand():
    table, _ = images(7)
    drawn = bootstrap(table, resamples=150, seed=3, level=0.9)['intervals']
    rng = np.random.default_rng(3)
    values = []
    for rows in (100, 50):  # drawn in chunks of 100
        for row in rng.integers(7, size=(rows, 7)):
            values.append(float(binned_figures(table.take(row).table.pooled())['ece']))
    assert drawn['ece'] == pytest.approx(np.quantile(values, [0.05, 0.95]), abs=1e-12)


def test_intervals_are_seeded_and_ordered():
    table, total = images(20)
    one, two = bootstrap(table, 200, seed=1), bootstrap(table, 200, seed=1)
    assert one['intervals'] == two['intervals']
    assert one['intervals'] != bootstrap(table, 200, seed=2)['intervals']
    for key, (low, high) in one['intervals'].items():
        assert low <= high, key
    low, high = one['intervals']['acc']
    assert low < total.compute()['acc'] < high


def test_intervals_cover_about_as_often_as_they_say():
    # 100 independent sets of 40 images with a known mean accuracy of 0.7.
    rng, covered = np.random.default_rng(0), 0
    for seed in range(100):
        right = rng.binomial(50, rng.beta(7, 3, 40))
        rows = [
            {'name': i, 'count': [50], 'right': [r], 'conf': [40], 'nll': 0, 'brier': 0}
            for i, r in enumerate(right)
        ]
        low, high = bootstrap(ImageTable(rows, 1), 200, seed)['intervals']['acc']
        covered += low <= 0.7 <= high
    assert 86 <= covered <= 99


def test_more_images_make_narrower_intervals():
    widths = []
    for number in (8, 72):
        low, high = bootstrap(images(number)[0], 200)['intervals']['ece']
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


@pytest.mark.parametrize('number', [0, 1])
def test_too_few_images_give_nan(number):
    drawn = bootstrap(images(number)[0], 20)
    assert np.isnan(drawn['intervals']['ece']).all()
    assert np.isnan(drawn['bins']).all()


def test_pairs_cancel_what_images_share():
    calm, sharp = images(30)[0], images(30, gain=1.5)[0]
    found = paired_bootstrap(calm, sharp, 300)
    assert found['ece']['differs'] and found['ece']['difference'] > 0
    assert found['nll']['differs']
    assert not found['acc']['differs'] and found['acc']['difference'] == 0
    own = bootstrap(calm, 300)['intervals']['nll']
    paired = found['nll']['high'] - found['nll']['low']
    assert paired < own[1] - own[0]


def test_model_does_not_differ_from_itself():
    table, _ = images(10)
    found = paired_bootstrap(table, table, 50)
    assert not any(row['differs'] for row in found.values())
    assert all(row['difference'] == 0 for row in found.values())


def test_pairs_need_the_same_images():
    with pytest.raises(ValueError, match='same images'):
        paired_bootstrap(images(3)[0], images(4)[0])


@pytest.mark.parametrize('arguments', [{'resamples': 0}, {'level': 1}, {'level': 0}])
def test_bad_arguments(arguments):
    with pytest.raises(ValueError, match='at least 1 and level'):
        bootstrap(images(2)[0], **arguments)


def test_row_size_does_not_depend_on_pixels():
    rows = []
    for n in (10, 10000):
        histogram = CalibrationHistogram()
        histogram.update(torch.rand(n), torch.zeros(n))
        row = ImageTable.record('a', histogram)
        rows.append({k: len(v) for k, v in row.items() if isinstance(v, list)})
    assert rows[0] == rows[1] == {'count': 10, 'right': 10, 'conf': 10}
