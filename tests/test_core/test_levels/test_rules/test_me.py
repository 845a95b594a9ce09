import pytest
import torch

from mmaslp.core import ME, Validation


def step(alpha, margin, accuracy, landmark):
    levels = torch.tensor([alpha], dtype=torch.float64)
    margins = torch.tensor([margin], dtype=torch.float64)
    validation = Validation(accuracy=accuracy, landmark=landmark)
    return ME().step(levels, margins, beta=2.0, validation=validation).item()


def test_levels_rise_while_the_accuracy_holds_and_fall_with_it():
    assert step(0.1, 1.0, accuracy=0.95, landmark=0.95) == pytest.approx(0.102)
    assert step(0.1, 1.0, accuracy=0.96, landmark=0.95) == pytest.approx(0.102)
    assert step(0.1, 1.0, accuracy=0.94, landmark=0.95) == pytest.approx(0.102 - 0.04)


@pytest.mark.parametrize(
    ('landmark', 'expected'),
    [
        ('best', [0.8, 0.9, 0.9, 0.95]),
        ('warmup', [0.8, 0.9, 0.9, 0.9]),
    ],
)
def test_landmarks(landmark, expected):
    rule, kept = ME(landmark=landmark), None
    for accuracy, warming_up, wanted in zip(
        (0.8, 0.9, 0.85, 0.95), (True, True, False, False), expected
    ):
        kept = rule.next_landmark(kept, accuracy, warming_up)
        assert kept == wanted
