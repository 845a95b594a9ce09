import numpy as np
import pytest
from mmengine.logging import MMLogger
from mmengine.visualization import Visualizer

from mmaslp.hosts.mmseg.trackers import send_histogram, send_picture
from tests.trackers import mlflow_run, tensorboard_steps

PICTURE = np.zeros((4, 4, 3), np.uint8)


@pytest.fixture
def visualizer(tmp_path):
    """Make the current visualizer, with one backend, in ``tmp_path``."""
    made = []

    def make(backend, **options):
        made.append(f'tracking_{tmp_path.name}_{backend}')
        backends = [dict(type=backend, **options)]
        return Visualizer.get_instance(
            made[-1], vis_backends=backends, save_dir=str(tmp_path)
        )

    yield make
    for name in made:
        Visualizer._instance_dict.pop(name)


def test_local_backend_gets_a_file_per_step(visualizer, tmp_path):
    visualizer('LocalVisBackend')
    for step in (1, 2):
        send_picture('diagram', PICTURE, step)
        send_histogram('levels', np.arange(3.0), step)
    names = sorted(path.name for path in tmp_path.rglob('*.*'))
    assert names == ['diagram_1.png', 'diagram_2.png']


def test_tensorboard(visualizer, tmp_path):
    pytest.importorskip('tensorboard')
    run = visualizer('TensorboardVisBackend')
    for step in (1, 5):
        send_picture('diagram', PICTURE, step)
        send_histogram('levels', np.arange(3.0), step)
    run.close()
    found = tensorboard_steps(tmp_path / 'vis_data')
    assert found['images'] == {'diagram': [1, 5]}
    assert found['histograms'] == {'levels': [1, 5]}


@pytest.mark.release
def test_mlflow_keeps_every_picture(visualizer, tmp_path, monkeypatch):
    mlflow = pytest.importorskip('mlflow')
    monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
    monkeypatch.setenv('MLFLOW_DISABLE_TELEMETRY', 'true')
    run = visualizer('MLflowVisBackend')
    try:
        for step in (1, 5):
            send_picture('diagram', PICTURE, step)
            send_histogram('levels', np.arange(3.0), step)
            run.add_scalars(dict(ece=0.1), step)
    finally:
        mlflow.end_run()
    metrics, pictures = mlflow_run(tmp_path / 'vis_data')
    assert metrics == {'ece': [1, 5]}
    assert pictures == {'diagram': [1, 5]}


def test_failing_tracker_costs_a_warning(visualizer, monkeypatch):
    backend = visualizer('LocalVisBackend').get_backend('LocalVisBackend')
    said = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'warning', said.append)

    def fail(*args):
        raise OSError('disk full')

    monkeypatch.setattr(backend, 'add_image', fail)
    send_picture('diagram', PICTURE, 1)
    (message,) = said
    assert message.startswith('LocalVisBackend did not take diagram')
    assert message.endswith('OSError: disk full')
