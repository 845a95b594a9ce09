import pytest
import torch

from mmaslp.common.arrays import MANY
from mmaslp.levels import BandLevels, ImageLevels
from mmaslp.losses import SelfCalibratingBCE


def labels(*values):
    return torch.tensor(values).repeat(4, 8, 4)


LOGITS = torch.zeros(4, 8, 8)


@pytest.mark.parametrize(
    'make', [lambda: None, BandLevels, lambda: ImageLevels(map(str, range(400)))]
)
def test_the_loss_names_masks_of_0_and_255_within_the_epoch(make):
    levels = make()
    criterion = SelfCalibratingBCE(levels)
    with pytest.raises(ValueError, match=r'never 1: masks of 0 and 255 must become'):
        for step in range(MANY):
            names = [str(4 * step + k) for k in range(4)]
            image = isinstance(levels, ImageLevels)
            sample = levels.sample(names, step) if image else None
            criterion(LOGITS, labels(0, 255), sample)
            if image:
                levels.update(sample)
    assert step == MANY / 4 - 1


def test_first_images_without_an_object_are_no_alarm():
    criterion = SelfCalibratingBCE()
    for _ in range(MANY):  # background alone, whatever its number
        criterion(LOGITS, labels(0, 0))
    criterion(LOGITS, labels(0, 255))
    criterion(LOGITS, labels(0, 1))
    for _ in range(MANY):  # after the first object
        criterion(LOGITS, labels(0, 255))
