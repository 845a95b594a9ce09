"""The warm-up against the end of a training."""

import pytest

from mmaslp.hosts.mmseg.checks.schedule import late_warmup

EPOCHS = dict(train_cfg=dict(max_epochs=3))
ITERS = dict(train_cfg=dict(max_iters=15))


@pytest.mark.parametrize(
    ('cfg', 'warmup', 'per_epoch', 'late'),
    [
        (EPOCHS, (2.9, None), None, False),
        (EPOCHS, (3, None), None, True),
        (EPOCHS, (0, 15), None, False),  # not known
        (EPOCHS, (9, 14), 5, False),
        (EPOCHS, (0, 15), 5, True),
        (ITERS, (0, 15), None, True),
        (ITERS, (9, 14), None, False),
        (ITERS, (3, None), None, False),
        (ITERS, (3, None), 5, True),
        (ITERS, (3, None), 4, False),
        ({}, (3, 4), 5, False),
        (EPOCHS, (None, None), 5, False),
        (ITERS, (None, 15), None, True),
        (EPOCHS, (None, 14), 5, False),
    ],
)
def test_late_warmup(cfg, warmup, per_epoch, late):
    finding = late_warmup(cfg, *warmup, per_epoch)
    assert (finding is not None) == late
    assert not late or 'the levels never move' in finding.message
