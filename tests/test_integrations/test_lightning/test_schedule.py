import math
from types import SimpleNamespace

import pytest

pytest.importorskip('lightning', reason='needs the extra [integrations]')

from mmaslp.integrations.lightning import validations


def trainer(**options):
    """A training of 6 epochs with 4 batches each and a validation after each."""
    defaults = dict(
        max_epochs=6,
        max_steps=-1,
        accumulate_grad_batches=1,
        num_training_batches=4,
        val_check_batch=4,
        check_val_every_n_epoch=1,
        enable_validation=True,
    )
    return SimpleNamespace(**{**defaults, **options})


@pytest.mark.parametrize(
    ('options', 'number'),
    [
        ({}, 6),
        (dict(check_val_every_n_epoch=2), 3),
        (dict(val_check_batch=2), 12),
        (dict(val_check_batch=10, check_val_every_n_epoch=None), 2),
        (dict(max_steps=5, accumulate_grad_batches=2), 2),
        (dict(max_epochs=None, max_steps=8), 2),
        (dict(max_epochs=-1), None),
        (dict(num_training_batches=math.inf, val_check_batch=math.inf), None),
        (dict(max_steps=80, num_training_batches=math.inf, val_check_batch=2), 40),
        (dict(enable_validation=False), 0),
        # A part of an epoch counts, and its last batch makes a step.
        (dict(num_training_batches=100, max_steps=90, val_check_batch=3), 30),
        (dict(num_training_batches=100, max_steps=190, val_check_batch=10), 19),
        (
            dict(
                num_training_batches=5,
                max_epochs=50,
                max_steps=12,
                accumulate_grad_batches=4,
                val_check_batch=5,
            ),
            6,
        ),
    ],
)
def test_number_of_validations(options, number):
    assert validations(trainer(**options)) == number
