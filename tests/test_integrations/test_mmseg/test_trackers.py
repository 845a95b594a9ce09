import numpy as np
import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.visualization import (
    LocalVisBackend,
    MLflowVisBackend,
    Visualizer,
    WandbVisBackend,
)

from mmaslp.integrations.mmseg.evaluation.metrics import (
    is_training,
    loop_stage,
    send_picture,
)

PICTURE = np.zeros((4, 4, 3), np.uint8)


class Library:
    """What a backend has of W&B or MLflow; notes how it is called."""

    Image = staticmethod(np.shape)

    def __init__(self):
        self.calls = []

    def log(self, row, commit):
        self.calls.append((row, commit))

    def log_image(self, picture, key, step, synchronous):
        self.calls.append((key, step, synchronous))


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


def test_each_backend_gets_the_picture_at_the_step_of_the_scalars(
    backends, hub, tmp_path
):
    backends['local'] = LocalVisBackend(str(tmp_path))
    for name, kind in (('wandb', WandbVisBackend), ('mlflow', MLflowVisBackend)):
        experiment = Library()
        backends[name] = type(kind.__name__, (kind,), dict(experiment=experiment))
        backends[name] = backends[name].__new__(backends[name])
    send_picture('diagram', PICTURE)
    hub.update_info('max_epochs', 1)  # a loop of iterations
    send_picture('diagram', PICTURE)
    names = sorted(path.name for path in tmp_path.rglob('*.png'))
    assert names == ['diagram_10.png', 'diagram_2.png']
    row = ({'diagram': (4, 4, 3)}, False)  # that of the scalars that come next
    assert backends['wandb'].experiment.calls == [row] * 2
    calls = [('diagram', 2, True), ('diagram', 10, True)]
    assert backends['mlflow'].experiment.calls == calls


def test_a_failing_tracker_costs_a_warning(backends, monkeypatch):
    class Broken(LocalVisBackend):
        def add_image(self, *args):
            raise OSError('disk full')

    backends['broken'] = Broken('nowhere')
    said = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', said.append)
    send_picture('diagram', PICTURE)
    (message,) = said
    assert message.startswith('Broken did not take diagram')
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
