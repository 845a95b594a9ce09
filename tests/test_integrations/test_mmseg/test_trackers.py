import numpy as np
import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.visualization import LocalVisBackend, Visualizer

from mmaslp.integrations.mmseg.evaluation.metrics import (
    is_training,
    loop_stage,
    send_picture,
)

PICTURE = np.zeros((4, 4, 3), np.uint8)


@pytest.fixture
def hub(tmp_path):
    """The message hub of a validation after epoch 2."""
    hub = MessageHub.get_current_instance()
    told = dict(loop_stage='val', max_iters=20, max_epochs=4, epoch=1, iter=9)
    hub.update_info_dict(told)
    yield hub
    for key in told:
        hub.runtime_info.pop(key, None)


@pytest.fixture
def backends(tmp_path):
    visualizer = Visualizer.get_instance(f'trackers_{tmp_path.name}')
    yield visualizer._vis_backends
    Visualizer._instance_dict.pop(visualizer.instance_name)


def test_a_backend_gets_the_picture_at_the_step_of_the_scalars(backends, hub, tmp_path):
    backends['local'] = LocalVisBackend(str(tmp_path))
    send_picture('diagram', PICTURE)
    hub.update_info('max_epochs', 1)  # a loop of iterations
    send_picture('diagram', PICTURE)
    names = sorted(path.name for path in tmp_path.rglob('*.png'))
    assert names == ['diagram_10.png', 'diagram_2.png']


def test_a_failing_tracker_costs_a_warning(backends, monkeypatch):
    class Broken(LocalVisBackend):
        def add_image(self, *args):
            raise OSError('disk full')

    backends['broken'] = Broken('nowhere')
    said = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', said.append)
    send_picture('diagram', PICTURE)
    (message,) = said
    assert message.startswith('diagram was not sent to all trackers')
    assert message.endswith('OSError: disk full')


def test_stages(hub):
    assert (loop_stage(), is_training()) == ('val', True)
    hub.update_info('loop_stage', 'train')  # the validations of a training run
    assert (loop_stage(), is_training()) == ('val', True)
    hub.update_info('loop_stage', 'test')
    assert (loop_stage(), is_training()) == ('test', False)
    hub.runtime_info.pop('max_iters')
    hub.update_info('loop_stage', 'val')  # a validation of its own
    assert (loop_stage(), is_training()) == ('val', False)
