import pytest
from mmengine.logging import MessageHub

from mmaslp.hosts.mmseg.metrics.run_context import (
    STEP_KEY,
    is_training,
    loop_stage,
    publish_scalar_step,
    scalar_step,
)

KEYS = ('loop_stage', 'max_iters', 'max_epochs', 'epoch', 'iter')


@pytest.fixture
def hub():
    """The message hub of the moment, without what the test leaves in it."""
    hub = MessageHub.get_current_instance()
    for key in (*KEYS, STEP_KEY):
        hub.pop_info(key)
    yield hub
    for key in (*KEYS, STEP_KEY):
        hub.pop_info(key)


@pytest.mark.parametrize(
    ('stage', 'iters', 'name', 'training'),
    [
        ('train', 10, 'val', True),  # the validations of a training run
        ('val', 10, 'val', True),
        ('val', None, 'val', False),  # a validation of its own
        ('test', 10, 'test', False),
    ],
)
def test_stages(hub, stage, iters, name, training):
    hub.update_info('loop_stage', stage)
    if iters:
        hub.update_info('max_iters', iters)
    assert loop_stage() == name
    assert is_training() is training


@pytest.mark.parametrize(
    ('info', 'step'),
    [
        (dict(max_epochs=3, epoch=1, iter=9), 2),
        (dict(max_epochs=1, epoch=0, iter=9), 10),
    ],
)
def test_step_of_the_scalars_of_a_validation(hub, info, step):
    assert scalar_step() == 0  # a test
    hub.update_info_dict(dict(info, loop_stage='val', max_iters=20))
    assert scalar_step() == step
    hub.update_info('loop_stage', 'test')
    assert scalar_step() == 0


def test_published_step_wins_and_stays_out_of_checkpoints(hub):
    hub.update_info_dict(dict(max_epochs=3, max_iters=20, epoch=1, loop_stage='val'))
    publish_scalar_step(7)
    assert scalar_step() == 7
    assert STEP_KEY not in hub.state_dict()['runtime_info']
