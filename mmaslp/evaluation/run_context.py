"""What a metric can know of its run; it has no access to the runner."""

import logging
from pathlib import Path

import numpy as np
from mmengine.logging import MessageHub, MMLogger
from mmengine.visualization import Visualizer


def log_dir() -> Path | None:
    """Return the folder of the run's log file, None outside of a run."""
    for handler in MMLogger.get_current_instance().handlers:
        if isinstance(handler, logging.FileHandler):
            return Path(handler.baseFilename).parent
    return None


def loop_stage() -> str:
    """Return 'val' or 'test'; 'test' outside of a run."""
    stage = MessageHub.get_current_instance().get_info('loop_stage')
    return 'val' if stage in ('val', 'train') else 'test'


def is_training() -> bool:
    """Whether this evaluation is one of many in a training run."""
    trains = MessageHub.get_current_instance().get_info('max_iters') is not None
    return trains and loop_stage() == 'val'


def applied_temperature() -> float | dict | None:
    """Return what ``TemperatureHook`` divides the logits by, or None.

    Returns:
        float | dict | None: T; or its temperatures by region, as their file has them.
    """
    return MessageHub.get_current_instance().get_info('temperature')


def add_picture(name: str, picture: np.ndarray) -> None:
    """Hand a picture to every backend of the run's visualizer, if there is one.

    Args:
        name (str): Without '/': with one, the local backend silently writes nothing.
        picture (np.ndarray): ``(H, W, 3)`` uint8 RGB.
    """
    # Without an instance, get_current_instance() keeps a lock for ever (mmengine 0.10).
    if not Visualizer._instance_dict:
        return
    visualizer = Visualizer.get_current_instance()
    if visualizer.get_backend('MLflowVisBackend') is not None:
        name = f'{name}.png'  # MLflow takes the format from the name
    step = MessageHub.get_current_instance().get_info('iter') or 0
    visualizer.add_image(name, picture, step)
