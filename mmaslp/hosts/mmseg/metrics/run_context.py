"""What a metric can know of its run; it has no access to the runner."""

import logging
from pathlib import Path

from mmengine.logging import MessageHub, MMLogger

# Where a hook leaves the step of the running validation for the metrics.
STEP_KEY = 'mmaslp_scalar_step'


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


def scalar_step() -> int:
    """Return the step of the scalars of the current evaluation."""
    hub = MessageHub.get_current_instance()
    if not is_training():
        return 0
    published = hub.get_info(STEP_KEY)
    if published is not None:
        return published
    # MMEngine updates both before it trains, so they lag one behind in a validation.
    counter = 'epoch' if hub.get_info('max_epochs') > 1 else 'iter'
    return hub.get_info(counter) + 1


def publish_scalar_step(step: int) -> None:
    """Tell :func:`scalar_step` the step of the validation that begins."""
    hub = MessageHub.get_current_instance()
    hub.update_info(STEP_KEY, step, resumed=False)  # not into the checkpoint
