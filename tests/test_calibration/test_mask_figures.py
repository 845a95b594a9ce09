import numpy as np
import pytest
import torch

from mmaslp.calibration import CalibrationTables, dice_optimal_mask, fit_tables


def images(number, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(number):
        rows, columns = np.indices((24, 24)) - rng.uniform(6, 18, (2, 1, 1))
        logit = rng.uniform(0, 3) - 0.5 * np.hypot(rows, columns)
        label = rng.random(logit.shape) < 1 / (1 + np.exp(-logit))
        yield 1 / (1 + np.exp(-logit)), label.astype(int)


def dice(mask, label):
    return 2 * (mask & (label == 1)).sum() / (mask.sum() + label.sum())


def test_figures_are_those_of_the_masks():
    tables, found = CalibrationTables(), []
    for prob, label in images(60):
        tables.update(prob, label)
        found.append([prob > 0.5, prob > 0.5, dice_optimal_mask(prob)])
        found[-1] = [dice(mask, label) for mask in found[-1]]
    masks = fit_tables(tables, method='identity').record['masks']
    assert masks['images'] == 60
    means = [masks[name]['dice'] for name in ('keep', 'accuracy', 'dice')]
    wanted = np.mean(found, 0)
    assert means[0] == pytest.approx(wanted[0], abs=1e-6)
    assert means[2] == pytest.approx(wanted[2], abs=0.02)  # of a fit to 48 images
    assert means[2] > means[0] + 0.02
    text = fit_tables(tables).summary()
    assert 'Mean Dice of 60 images: masks of the network' in text


def test_one_image_of_each_group_is_drawn_in_any_order():
    whole, parts = CalibrationTables(), [CalibrationTables() for _ in range(3)]
    for key, (prob, label) in enumerate(images(250)):
        whole.update(prob, label, key)
        parts[key * 3 // 250].update(prob, label, key)
    merged = CalibrationTables()
    for part in parts[::-1]:
        merged.merge(part)
    assert torch.equal(whole.sample, merged.sample)
    assert torch.equal(whole.sample.sum((1, 2, 3)), torch.full((100,), 576))
