import logging

import numpy as np
import pytest
from mmengine.logging import MessageHub, MMLogger
from mmengine.visualization import Visualizer

from mmaslp.evaluation.run_context import (
    add_picture,
    applied_temperature,
    is_training,
    log_dir,
    loop_stage,
)


@pytest.fixture
def hub():
    """The message hub of the moment, without what the test leaves in it."""
    hub = MessageHub.get_current_instance()
    for key in ('loop_stage', 'max_iters', 'temperature'):
        hub.pop_info(key)
    yield hub
    for key in ('loop_stage', 'max_iters', 'temperature'):
        hub.pop_info(key)


def test_outside_of_a_run_it_is_a_test(hub):
    assert loop_stage() == 'test'
    assert not is_training()
    assert applied_temperature() is None


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


def test_folder_of_the_log_file(tmp_path, monkeypatch):
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'handlers', [logging.StreamHandler()])
    assert log_dir() is None
    handler = logging.FileHandler(tmp_path / 'run.log')
    logger.addHandler(handler)
    assert log_dir() == tmp_path
    handler.close()


def test_pictures_reach_the_visualizer(tmp_path):
    backends = [dict(type='LocalVisBackend')]
    Visualizer.get_instance('run_context', vis_backends=backends, save_dir=tmp_path)
    add_picture('diagram', np.zeros((4, 4, 3), np.uint8))
    assert list(tmp_path.rglob('diagram_*.png'))
