import re
from types import SimpleNamespace

import pytest
from mmengine.runner import IterBasedTrainLoop

from mmaslp.integrations.mmseg.engine.schedule import Schedule


class Loader(list):
    batch_sampler = SimpleNamespace(batch_size=2)


class Loop(SimpleNamespace):
    """An epoch loop over 10 images in batches of 2: 5 iterations an epoch."""

    def __init__(self, **options):
        defaults = dict(
            dataloader=Loader(range(5)),
            epoch=0,
            iter=0,
            max_epochs=6,
            max_iters=30,
            val_begin=1,
            val_interval=1,
        )
        super().__init__(**{**defaults, **options})


class FreeLoop(IterBasedTrainLoop):
    """The type of the host's loop, its attributes as a test sets them."""

    iter = max_iters = max_epochs = epoch = None

    def __init__(self, **options):
        self.__dict__.update(Loop(**options).__dict__)


def schedule(loop, warmup_epochs=0, warmup_iters=None, world_size=1):
    return Schedule(loop, 10, world_size, warmup_epochs, warmup_iters)


def test_warm_up_in_epochs_visits_and_iterations():
    assert schedule(Loop(), warmup_epochs=2).warmup == 10
    repeated = Loop(dataloader=Loader(range(20)))  # RepeatDataset, 4 times
    assert schedule(repeated, warmup_epochs=2).warmup == 40
    assert schedule(FreeLoop(), warmup_epochs=2).warmup == 10
    assert schedule(FreeLoop(), 2, world_size=5).warmup == 2
    assert schedule(Loop(), 2, warmup_iters=7).warmup == 7


@pytest.mark.parametrize(
    ('loop', 'warmup', 'message'),
    [
        (Loop(), 1, None),
        (
            Loop(),
            6,
            'the levels never move: warm-up .* iteration 30, training at 30',
        ),
        (Loop(val_interval=9), 0, 'the levels never move'),
        # Epochs may be a float; iterations are shown as whole numbers.
        (Loop(), 6.0, 'end at iteration 30, training'),
        (FreeLoop(val_interval=7), 1, None),
    ],
)
def test_levels_that_never_move_are_said(loop, warmup, message):
    findings = [*schedule(loop, warmup_epochs=warmup).too_late()]
    assert len(findings) == (message is not None)
    if message:
        assert re.search(message, findings[0].message)


LONG = dict(max_epochs=60, max_iters=300)


@pytest.mark.parametrize(
    ('loop', 'warmup', 'level', 'steps', 'line'),
    [
        (Loop(), 0, 'warning', 5, 'a longer training'),
        (Loop(), 2, 'error', 4, 'a longer training'),  # epochs 2 to 5
        (Loop(), 6, 'error', 0, 'a lower warmup_epochs'),
        (Loop(val_interval=10, **LONG), 20, 'error', 4, 'val_interval = 1, '),
        (FreeLoop(val_interval=60, **LONG), 20, 'error', 3, 'val_interval = 9'),
        (FreeLoop(val_interval=20, **LONG), 20, 'warning', 10, '_interval = 9'),
        (Loop(**LONG), 20, None, 40, ''),
        (Loop(), None, 'error', 4, 'a longer training'),  # a third is warm-up
        (Loop(max_epochs=32, max_iters=160), None, None, 21, ''),
        (Loop(**LONG), None, None, 40, ''),
    ],
)
def test_too_few_validations_for_levels_by_band(loop, warmup, level, steps, line):
    timed = schedule(loop, warmup_epochs=warmup)
    assert timed.plan.left == steps
    findings = [*timed.findings()]
    assert [finding.level for finding in findings] == ([level] if level else [])
    for finding in findings:
        assert f'only: {steps} are between' in finding.message
        assert line in finding.remedy


@pytest.mark.parametrize(
    ('loop', 'due'),
    [
        (Loop(), False),
        (Loop(epoch=1, iter=5), True),
        (Loop(epoch=1, iter=7), False),  # a checkpoint from within an epoch
        (Loop(epoch=1, iter=5, val_begin=2), False),
        (Loop(epoch=3, iter=15, val_interval=2), False),
        (Loop(epoch=6, iter=30, val_interval=4), True),  # the last one
        (FreeLoop(iter=10, val_interval=5), True),
        (FreeLoop(iter=12, val_interval=5), False),
        (FreeLoop(iter=30, val_interval=7), True),
    ],
)
def test_validations_that_are_due(loop, due):
    assert schedule(loop).validation_is_due() == due
