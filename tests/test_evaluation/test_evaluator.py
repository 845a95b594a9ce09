import pickle

import numpy as np
import pytest
import torch

from mmaslp import fit_calibrator
from mmaslp.calibration.estimates import mask_estimates
from mmaslp.common.maps import LabelledMap
from mmaslp.evaluation.comparison import compare_files
from mmaslp.evaluation.evaluator import Evaluator, evaluate_image
from mmaslp.evaluation.result import load_results, save_result, strict_json
from mmaslp.metrics import BandTable, CalibrationHistogram
from mmaslp.metrics.histogram import PIXELS_AT_ONCE, PixelCounts
from tests.test_calibration.object_scenes import discs

SCENES = [discs(k) for k in range(6)]


def test_pixels_and_bands_are_those_of_their_counters():
    evaluator, histogram, bands = Evaluator(), CalibrationHistogram(), BandTable()
    for number, (prob, label) in enumerate(SCENES):
        evaluator.add(str(number), prob, label)
        histogram.update(prob, label)
        bands.update(prob, label)
    result = evaluator.result('A', 'x', resamples=20)
    expected = histogram.compute()
    assert {key: result.metrics[key] for key in expected if key != 'count'} == {
        key: value for key, value in expected.items() if key != 'count'
    }
    assert result.positive['acc'] == histogram.compute(10, 'positive')['acc']
    assert result.metrics['ece_band'] == bands.compute()['ece_band']
    assert (result.model, result.dataset) == ('A', 'x')
    assert result.intervals['ece'][0] <= result.metrics['ece']


def test_an_image_that_is_measured_twice_is_said():
    evaluator = Evaluator()
    for _ in range(2):
        evaluator.add('a.png', *SCENES[0])
    with pytest.warns(UserWarning, match='two images have one name'):
        evaluator.result('A', 'x', resamples=0)


@pytest.mark.parametrize('kind', [np.float64, np.float32, np.float16])
@pytest.mark.parametrize('ignored', [False, True])
def test_a_small_image_is_counted_as_a_large_one(kind, ignored):
    """Sorting codes and filling a histogram of all cells give the same counts."""
    rng = np.random.default_rng(0)
    prob = np.concatenate([rng.random(3000), np.arange(256) / 255, [0.5, 0, 1]])
    prob = np.append(prob, [np.nextafter(kind(0.5), kind(1)), 1e-9]).astype(kind)
    label = (rng.random(prob.shape) < 0.4).astype(np.uint8)
    label[::7] = 255 if ignored else 0
    histogram = CalibrationHistogram()
    histogram.update(prob, label)

    small = PixelCounts.of(prob, label)
    many = PIXELS_AT_ONCE // len(prob) + 2
    large = PixelCounts.of(np.tile(prob, many), np.tile(label, many))
    for key in ('score', 'count', 'correct'):
        expected = getattr(histogram.pixels().scores, key)
        assert np.array_equal(getattr(small.scores, key), expected)
        times = 1 if key == 'score' else many
        assert np.array_equal(getattr(large.scores, key), expected * times)
    assert small.nll == int(histogram.nll)
    merged = CalibrationHistogram()
    merged.merge(small)
    assert torch.equal(merged.counts, histogram.counts)


def test_merged_parts_are_the_whole():
    whole, parts = Evaluator(), [Evaluator(), Evaluator()]
    for number, (prob, label) in enumerate(SCENES):
        for evaluator in (whole, parts[number > 2]):
            evaluator.add(str(number), prob, label, prob**2)
    parts[0].merge(pickle.loads(pickle.dumps(parts[1])))
    for calibrated in (False, True):
        one, two = (
            evaluator.result('A', 'x', calibrated=calibrated, resamples=20)
            for evaluator in (whole, parts[0])
        )
        assert strict_json(one.to_json()) == strict_json(two.to_json())


def test_a_calibrator_that_keeps_masks_keeps_their_metrics_to_the_last_digit():
    calibrator = fit_calibrator(*zip(*(discs(k) for k in range(40))))
    assert calibrator.target == 'confidence'
    evaluator = Evaluator()
    for number, (prob, label) in enumerate(SCENES):
        scores = calibrator.scores(prob, label)
        evaluator.add(str(number), prob, label, calibrator(prob), scores)
    raw = evaluator.result('A', 'x', resamples=0)
    calibrated = evaluator.result('A', 'x', calibrated=True, resamples=0)
    for key in ('acc', 'dice', 'iou'):
        assert raw.metrics[key] == calibrated.metrics[key]
    assert raw.metrics['ece'] != calibrated.metrics['ece']
    assert raw.metrics['ece_object'] != calibrated.metrics['ece_object']


@pytest.mark.parametrize('mode', ['top_label', 'positive'])
def test_a_set_without_foreground_says_so(mode):
    evaluator = Evaluator(mode=mode)
    evaluator.add('a', np.full((8, 8), 0.7), np.zeros((8, 8)))
    assert evaluator.result('A', 'x').no_foreground
    evaluator.add('b', np.full((8, 8), 0.7), np.eye(8))
    assert not evaluator.result('A', 'x').no_foreground


def test_more_classes_have_neither_bands_nor_masks():
    prob = torch.rand(3, 8, 8).softmax(0)
    label = torch.randint(3, (8, 8))
    image = evaluate_image('a', prob, label, num_classes=3)
    assert image.bands is image.row.masks is image.row.band_sums is None
    evaluator = Evaluator(num_classes=3)
    evaluator.add('a', prob, label)
    result = evaluator.result('A', 'x', resamples=0)
    assert not result.no_foreground
    assert result.positive == {}
    assert result.metrics['acc'] == pytest.approx(
        (prob.argmax(0) == label).double().mean()
    )


def test_nothing_is_counted_of_an_image_that_is_refused():
    evaluator = Evaluator()
    prob, label = SCENES[0]
    with pytest.raises(ValueError, match='NaN'):
        evaluator.add('a', prob, label, prob * np.nan)
    assert evaluator.raw.histogram.count == 0
    assert not evaluator.raw.rows


@pytest.mark.parametrize('seed', range(8))
def test_whatever_is_measured_is_read_back(tmp_path, seed):
    rng = np.random.default_rng(seed)
    evaluator = Evaluator()
    for number in range(3):
        label = (rng.random((24, 24)) < rng.choice([0, 0.05, 0.5, 1])).astype(np.uint8)
        kinds = [rng.random((24, 24)), np.full((24, 24), 0.3), 1.0 - label, 1.0 * label]
        evaluator.add(str(number), kinds[rng.integers(4)], label)
    result = evaluator.result('network', 'set')
    save_result(tmp_path / 'result.json', result)
    [read] = load_results(tmp_path / 'result.json')
    assert read.metrics == pytest.approx(result.metrics, nan_ok=True)


def test_a_calibrated_result_is_compared_with_its_raw_one(tmp_path):
    evaluator = Evaluator()
    for number, (prob, label) in enumerate(SCENES):
        evaluator.add(str(number), prob, label, prob**2)
    rows = [
        evaluator.result('net', 'x', calibrated=calibrated, resamples=20)
        for calibrated in (False, True)
    ]
    file = tmp_path / 'both.json'
    save_result(file, rows)
    [comparison] = compare_files(file)
    assert comparison.of_calibrator
    assert comparison.second == 'net'


def test_merged_images_and_volumes_are_refused():
    evaluator, other = Evaluator(), Evaluator()
    evaluator.add('a', np.full((8, 8), 0.2), np.zeros((8, 8), np.uint8))
    other.add('b', np.full((3, 8, 8), 0.2), np.zeros((3, 8, 8), np.uint8))
    evaluator.merge(other)
    with pytest.raises(ValueError, match='images and volumes are mixed'):
        evaluator.result('net', 'x')


def test_an_image_that_is_refused_changes_nothing():
    evaluator = Evaluator()
    prob, label = SCENES[0]
    evaluator.add('a', prob, label, prob)
    with pytest.raises(ValueError, match='shape'):
        evaluator.add('b', prob[None].repeat(3, 0), label[None].repeat(3, 0), prob)
    assert evaluator.result('net', 'x', resamples=0).images.names == ['a']


def test_results_have_names():
    evaluator = Evaluator()
    with pytest.raises(ValueError, match='name of a model or set must be a text'):
        evaluator.result(None, 'x', calibrated=True)


@pytest.mark.parametrize('shape', [(40, 1), (1, 40), (40, 2), (4, 40, 40)])
def test_a_narrow_image_is_an_image(shape):
    prob = np.random.default_rng(0).random(shape)
    evaluator = Evaluator()
    evaluator.add('a', prob, prob > 0.4)
    assert evaluator.result('A', 'x', resamples=0).images.num_pixels == prob.size


def test_dice_of_a_calibrated_map_is_that_of_its_own_mask():
    """Estimates are of the network's mask, and ``target='probability'`` moves it."""
    prob, label = discs(0)
    calibrated = prob**3
    evaluator = Evaluator()
    for number in range(3):
        estimates = mask_estimates(LabelledMap.from_arrays(prob, label))
        evaluator.add(str(number), prob, label, calibrated, estimates)
    metrics = evaluator.result('A', 'x', calibrated=True, resamples=0).metrics
    mask = calibrated > 0.5
    assert mask.sum() < (prob > 0.5).sum()
    overlap = (mask & (label == 1)).sum()
    expected = 2 * overlap / (mask.sum() + (label == 1).sum())
    assert metrics['dice'] == pytest.approx(expected)
