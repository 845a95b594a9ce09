"""What a map is, is decided once, from its axes; what is ignored may hold anything."""

import numpy as np
import pytest
import torch

from mmaslp import Calibrator, fit_calibrator
from mmaslp.common.maps import (
    IMAGES,
    UNKNOWN,
    VOLUMES,
    LabelledMap,
    LabelledPlanes,
    MapBatch,
    PixelScores,
    ProbMap,
    kind_of,
    maps_of_batch,
)
from mmaslp.evaluation.evaluator import Evaluator
from tests.test_calibration.object_scenes import discs


@pytest.mark.parametrize(
    ('shape', 'kind'),
    [((4, 6), IMAGES), ((1, 4, 6), IMAGES), ((2, 4, 6), VOLUMES)],
)
def test_a_volume_of_one_slice_is_an_image(shape, kind):
    assert kind_of(shape) == kind
    prob = np.full(shape, 0.2)
    assert ProbMap.from_array(prob).kind == kind
    assert LabelledMap.from_arrays(prob, np.zeros(shape, np.uint8)).kind == kind


@pytest.mark.parametrize('shape', [(4,), (1, 1, 4, 6), (3, 1, 4, 6)])
def test_a_batch_is_not_one_map(shape):
    prob = np.full(shape, 0.2)
    with pytest.raises(ValueError, match=r'one image \(H, W\) or one volume'):
        ProbMap.from_array(prob)
    with pytest.raises(ValueError, match=r'one image \(H, W\) or one volume'):
        LabelledMap.from_arrays(prob, np.zeros(shape, np.uint8))


def test_labels_without_the_axis_of_channels_do_not_make_a_batch_a_volume():
    prob = np.full((3, 1, 4, 6), 0.2)
    with pytest.raises(ValueError, match='one image'):
        LabelledMap.from_arrays(prob, np.zeros((3, 4, 6), np.uint8))
    one = LabelledMap.from_arrays(prob[:1], np.zeros((1, 4, 6), np.uint8))
    assert one.values.shape == one.foreground.shape == (1, 4, 6)


def test_a_map_says_what_it_holds():
    labelled = LabelledMap.from_arrays(
        np.array([[0.5, 0.7, 1 + 1e-7]]), np.array([[0, 1, 1]]), None
    )
    assert labelled.values.tolist() == [[0.5, 0.7, 1.0]]
    assert labelled.mask.tolist() == [[False, True, True]]
    assert labelled.foreground.tolist() == [[False, True, True]]
    assert labelled.valid is None
    assert labelled.filled() is labelled.cpu() is labelled

    logits = ProbMap.from_array(np.array([[0.5, -1.0]], np.float16), logits=True)
    assert logits.values.dtype == torch.float32
    assert logits.mask.tolist() == [[True, False]]
    assert logits.pixel_kinds() is None
    assert not logits.is_calibrated


def test_a_map_says_that_it_is_calibrated():
    calibrator = Calibrator('temperature', 'single', 'confidence', [([0, 10], [0, 5])])
    prob = calibrator(torch.full((2, 1, 4, 6), 0.9))
    assert all(one.is_calibrated for one in maps_of_batch(prob))
    assert MapBatch.of_planes(prob).is_calibrated
    assert not MapBatch.of_planes(prob.numpy()).is_calibrated

    one = calibrator(torch.full((4, 6), 0.9))
    assert ProbMap.from_array(one).is_calibrated
    assert LabelledMap.from_arrays(one, np.eye(4, 6)).is_calibrated
    for call in (
        lambda: calibrator.judge_batch(prob),
        lambda: calibrator.judge_map(ProbMap.from_array(one)),
        lambda: calibrator.scores(one, np.eye(4, 6)),
    ):
        with pytest.raises(ValueError, match='these maps are calibrated'):
            call()


def test_what_is_ignored_stays_until_it_is_filled():
    prob = np.array([[0.2, 7.0, -np.inf, 0.9, np.nan, 1 + 1e-7]])
    label = np.array([[0, 255, 255, 255, 255, 1]], np.uint8)
    labelled = LabelledMap.from_arrays(prob, label)

    expected = np.array([[0.2, 7.0, -np.inf, 0.9, np.nan, 1.0]])
    assert np.array_equal(labelled.values, expected, equal_nan=True)
    assert labelled.filled().values.tolist() == [[0.2, 0, 0, 0.9, 0, 1]]
    assert labelled.pixel_kinds().tolist() == [[[0, 2, 2, 2, 2, 1]]]
    assert labelled.scores().score.tolist() == [0.2, 1.0]
    assert labelled.scores().outcome.tolist() == [False, True]
    with pytest.raises(ValueError, match='NaN'):
        LabelledMap.from_arrays(prob, np.zeros_like(label))


def test_planes_of_a_map_are_those_of_a_batch_of_it_alone():
    rng = np.random.default_rng(0)
    prob = rng.random((3, 4, 6))
    label = rng.choice([0, 1, 255], (3, 4, 6)).astype(np.uint8)
    planes = LabelledMap.from_arrays(prob, label).labelled_planes()
    batch = LabelledPlanes.from_arrays(prob[None], label[None], 255)
    assert planes.images == batch.images == 1
    assert LabelledPlanes.from_arrays(prob, label, 255).images == 3
    for name in ('values', 'foreground', 'valid'):
        assert torch.equal(getattr(planes, name), getattr(batch, name))
        parts = [getattr(part, name) for part in planes.split(2)]
        assert [len(part) for part in parts] == [2, 1]
        assert torch.equal(torch.cat(parts), getattr(planes, name))


def test_pixels_of_more_classes_are_those_of_the_top_one():
    prob = np.array([[0.1, 0.5, 0.3], [0.2, 0.3, 0.3], [0.7, 0.2, 0.4]])
    scores = PixelScores.from_arrays(prob, np.array([2, 1, 9]), 9, num_classes=3)
    assert scores.score.tolist() == [0.7, 0.5]
    assert scores.outcome.tolist() == [1, 0]
    assert scores.prob_of_label.tolist() == [0.7, 0.3]


def test_channels_that_come_last_are_refused_wherever_one_map_comes_in():
    prob = np.full((8, 8, 3), 0.2)
    label = np.zeros((8, 8, 3), np.uint8)
    pairs = [discs(k) for k in range(40)]
    calibrator = fit_calibrator([p for p, _ in pairs], [y for _, y in pairs])
    evaluator = Evaluator(mode='positive')
    for call in (
        lambda: calibrator.judge(prob),
        lambda: calibrator.scores(prob, label),
        lambda: evaluator.add('a', prob, label),
    ):
        with pytest.raises(ValueError, match='3 pixels wide'):
            call()


def test_images_are_measured_together_with_volumes_of_one_slice():
    evaluator = Evaluator()
    for name, (prob, label) in enumerate([discs(0), discs(1)]):
        evaluator.add(f'{name}', prob, label)
        evaluator.add(f'{name} as a volume', prob[None], label[None])
    result = evaluator.result('net', 'set', resamples=0)
    assert result.images.band_sums[0].tolist() == result.images.band_sums[1].tolist()
    assert result.images.masks.objects[0].tolist() == (
        result.images.masks.objects[1].tolist()
    )


def test_a_batch_says_what_its_axes_may_be():
    prob = np.full((2, 3, 4, 6), 0.2)
    for shape, kind, axis in (
        ((4, 6), IMAGES, None),
        ((3, 4, 6), UNKNOWN, 0),
        ((2, 3, 4, 6), UNKNOWN, 1),
        ((1, 2, 3, 4, 6), VOLUMES, 1),
    ):
        planes = MapBatch.of_planes(np.full(shape, 0.2))
        assert (planes.kind, planes.channel_axis) == (kind, axis)
    assert MapBatch.of_planes(prob[0], volumes=True).channel_axis is None
    assert MapBatch.of_maps(prob[0]).kind == VOLUMES
    assert MapBatch.of_maps(prob[0, :1]).kind == MapBatch.of_maps(prob).kind == IMAGES
    with pytest.raises(ValueError, match=r'\(N, C, D, H, W\)'):
        MapBatch.of_maps(prob[None, None])


@pytest.mark.parametrize(('channels', 'logits'), [(1, False), (1, True), (2, True)])
def test_a_batch_becomes_maps(channels, logits):
    values = np.arange(2.0 * channels * 12).reshape(2, channels, 3, 4) / 48
    maps = maps_of_batch(values, logits=logits)
    expected = values[:, 0]
    if channels == 2:
        expected = values[:, 1] - values[:, 0]
    assert np.array_equal([one.values for one in maps], expected)
    assert {(one.kind, one.logits) for one in maps} == {(IMAGES, logits)}
    with pytest.raises(ValueError, match='give a batch'):
        maps_of_batch(np.full((2, 3, 3, 4), 0.2), logits=logits)
