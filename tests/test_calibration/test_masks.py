import numpy as np
import pytest
import torch

from mmaslp import dice_optimal_mask


def scene(seed, shape=(40, 30)):
    """A smooth object of uncertain border."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.normal(size=(1, 1, 4, 4)))
    logit = torch.nn.functional.interpolate(coarse, shape, mode='bilinear')[0, 0]
    return torch.sigmoid(3 * logit - 1).numpy()


def first_order(prob, count):
    """Expected Dice of the ``count`` most probable pixels, denominator at its mean."""
    best = np.sort(prob.ravel())[::-1][:count]
    return 2 * best.sum() / (count + prob.sum())


@pytest.mark.parametrize('seed', range(6))
def test_no_other_number_of_pixels_has_a_higher_expected_dice(seed):
    prob = scene(seed)
    mask = dice_optimal_mask(prob)
    assert 0 < mask.sum() < mask.size
    assert prob[mask].min() >= prob[~mask].max()
    best = max(first_order(prob, count) for count in range(1, prob.size + 1))
    assert first_order(prob, mask.sum()) == pytest.approx(best, rel=1e-12)
    # The mask is what is above half of its Dice.
    assert np.array_equal(mask, prob > best / 2)


@pytest.mark.parametrize('prob', [0.0, 1e-3, 0.1])
def test_an_image_without_an_object_is_empty(prob):
    """Its best non-empty mask would be the whole image."""
    assert not dice_optimal_mask(np.full((50, 60), prob)).any()


def test_every_map_has_its_own_threshold_and_a_volume_has_one():
    maps = np.stack([scene(seed) for seed in range(6)]).reshape(2, 3, 40, 30)
    alone = [[dice_optimal_mask(each) for each in image] for image in maps]
    assert np.array_equal(dice_optimal_mask(maps), alone)
    volume = dice_optimal_mask(maps[:, None])
    assert volume.shape == (2, 1, 3, 40, 30)
    for mask, image in zip(volume[:, 0], maps):
        assert np.array_equal(
            mask, dice_optimal_mask(image.reshape(120, 30)).reshape(3, 40, 30)
        )


def test_three_axes_may_be_images_or_a_volume():
    with pytest.raises(ValueError, match=r'images as prob\[:, None\], one volume as'):
        dice_optimal_mask(np.zeros((3, 8, 8)))


def test_kinds_and_types():
    prob = scene(0)
    expected = dice_optimal_mask(prob)
    assert isinstance(expected, np.ndarray)
    assert expected.dtype == bool
    found = dice_optimal_mask(torch.from_numpy(prob).T)
    assert found.dtype == torch.bool
    assert np.array_equal(found.T, expected)
    for dtype in (torch.float16, torch.float32):
        found = dice_optimal_mask(torch.from_numpy(prob).to(dtype))
        assert (found.numpy() != expected).mean() < 1e-2
    assert dice_optimal_mask(torch.zeros(0, 1, 4, 5)).shape == (0, 1, 4, 5)
    assert dice_optimal_mask(torch.zeros(2, 1, 0, 5)).shape == (2, 1, 0, 5)
