"""What is rare never ends a fit: pixels are calibrated, the rest cannot be told."""

import json
import math

import numpy as np
import pytest

from mmaslp.calibration import Calibrator, fit_calibrator
from mmaslp.calibration.fitting.methods import OutOfFold, gains, simplest
from tests.test_calibration.object_scenes import discs


def scenes(images_of_patients, ill, depth=None, share_real=0.5):
    """Maps, masks and patients; only those who are ill have objects."""
    maps, masks, groups = [], [], []
    for patient, images in enumerate(images_of_patients):
        number = 3 if patient in ill else 0
        for _ in range(images):
            prob, mask = discs(
                len(maps), depth=depth, share_real=share_real, number=number
            )
            maps.append(prob)
            masks.append(mask)
            groups.append(patient)
    return maps, masks, groups


def saved(calibrator, folder):
    """The calibrator that its file gives, which holds no nan."""
    file = folder / 'calibrator.json'
    calibrator.save(file)
    text = file.read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f'{name} in the file'))
    assert Calibrator.load(file) == calibrator
    return Calibrator.load(file)


ONE_FOLD = {
    'one of 37 patients is ill': ([4] + [1] * 36, {0}, None),
    'the last of 37 patients is ill': ([1] * 36 + [4], {36}, None),
    'one of 37 patients is ill and has many objects': ([30] + [1] * 36, {0}, None),
    'one of 5 patients is ill': ([8] * 5, {2}, None),
    'one of 5 patients is ill and has many objects': ([20] * 5, {2}, None),
    'every fifth of 40 patients is ill': ([1] * 40, {*range(0, 40, 5)}, None),
    'volumes of 37 patients': ([6] + [1] * 36, {0}, 6),
    'volumes of 5 patients': ([6] * 5, {1}, 6),
}


@pytest.mark.parametrize(
    'target', ['confidence', pytest.param('probability', marks=pytest.mark.release)]
)
@pytest.mark.parametrize('name', ONE_FOLD)
def test_objects_of_one_fold_cannot_be_told_and_pixels_are_calibrated(
    name, target, tmp_path
):
    images, ill, depth = ONE_FOLD[name]
    maps, masks, groups = scenes(images, ill, depth)
    fitted = fit_calibrator(maps, masks, groups=groups, target=target)
    calibrator = saved(fitted, tmp_path)

    assert calibrator.decisions.objects is None
    assert calibrator.decisions.cuts == []
    assert 'not enough to judge which are real' in calibrator.summary()
    assert np.isfinite(calibrator(maps[0])).all()

    last_ill = groups.index(max(ill))
    estimate, objects = calibrator.judge(maps[last_ill])
    assert len(objects) > 0
    assert np.isnan(objects.probability).all()
    assert math.isnan(estimate.dice)
    with pytest.raises(ValueError, match='cannot judge objects'):
        calibrator.check_objects()


@pytest.mark.parametrize('kind', [0, 1])
def test_objects_of_one_kind_in_one_fold_cannot_be_told(kind, tmp_path):
    """Without that fold all objects would be real, or all false."""
    maps, masks, _ = scenes([1] * 40, {*range(40)}, share_real=kind)
    for image in range(0, 40, 5):
        maps[image], masks[image] = discs(image, share_real=1 - kind)
    calibrator = saved(fit_calibrator(maps, masks), tmp_path)
    assert min(calibrator.decisions.record['objects'].values()) >= 5
    assert calibrator.decisions.objects is None


@pytest.mark.parametrize('images', [8, 20])
def test_objects_of_two_folds_are_told(images, tmp_path):
    maps, masks, groups = scenes([images] * 5, {1, 2})
    fitted = fit_calibrator(maps, masks, groups=groups)
    calibrator = saved(fitted, tmp_path)
    objects = calibrator.judge(maps[groups.index(1)])[1]
    assert np.isfinite(objects.probability).all()


def test_without_a_false_object_none_can_be_told(tmp_path):
    maps, masks, _ = scenes([1] * 40, {*range(40)}, share_real=1)
    calibrator = saved(fit_calibrator(maps, masks), tmp_path)
    record = calibrator.decisions.record['objects']
    assert record == {'number': 120, 'real': 120}
    assert calibrator.decisions.objects is None
    assert np.isfinite(calibrator.image(maps[0]).dice)


def test_without_a_real_object_none_can_be_told(tmp_path):
    maps, masks, _ = scenes([1] * 40, {*range(40)}, share_real=0)
    for mask in masks:
        mask[0, 0] = 1  # what no map sees
    calibrator = saved(fit_calibrator(maps, masks), tmp_path)
    assert calibrator.decisions.objects is None


def measured(*metrics):
    return OutOfFold(np.array(metrics), np.tile(metrics, (8, 1)))


@pytest.mark.parametrize('first', ['nan', 'measured'])
def test_nan_loses_every_comparison(first):
    candidates = {
        'nan': measured(np.nan, 0.1, 0.1, 0.1),
        'measured': measured(0.9, 0.9, 0.9, 0.9),
    }
    candidates = {first: candidates[first]} | candidates
    assert simplest(candidates) == 'measured'
    assert candidates['nan'].is_worse(candidates['measured'])
    assert not gains(candidates['nan'], candidates['measured'])
    with pytest.raises(ValueError, match='could be measured'):
        simplest({'nan': candidates['nan']})
