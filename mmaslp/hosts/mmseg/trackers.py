"""Pictures for the trackers of a run (its visualizer's backends), and their step."""

import numpy as np
from mmengine.dist import is_main_process
from mmengine.logging import MessageHub, MMLogger
from mmengine.visualization import (
    BaseVisBackend,
    MLflowVisBackend,
    Visualizer,
    WandbVisBackend,
)


def loop_stage() -> str:
    """Return 'val' or 'test'; 'test' outside of a run."""
    stage = MessageHub.get_current_instance().get_info('loop_stage')
    return 'val' if stage in ('val', 'train') else 'test'


def is_training() -> bool:
    """Whether the present evaluation is one of many in a training run."""
    trains = MessageHub.get_current_instance().get_info('max_iters') is not None
    return trains and loop_stage() == 'val'


def send_picture(name: str, picture: np.ndarray) -> None:
    """Hand a picture to every backend of the run's visualizer, if there is one.

    MMEngine's own ``Visualizer.add_image`` loses the step in two backends. Here MLflow
    gets a picture per step, and W&B gets the picture in the row of the scalars that
    are logged next, which are those of the same validation. A backend that fails costs
    a warning, not the run.
    """
    # Without an instance, get_current_instance() keeps a lock for ever (mmengine 0.10).
    if not is_main_process() or not Visualizer._instance_dict:
        return
    for backend in Visualizer.get_current_instance()._vis_backends.values():
        try:
            _send(backend, name, picture, _step())
        except Exception as error:  # each library has its own errors
            MMLogger.get_current_instance().warning(
                f'{type(backend).__name__} did not take {name}, the run goes on '
                f'without it there: {type(error).__name__}: {error}'
            )


def _send(backend: BaseVisBackend, name: str, picture: np.ndarray, step: int) -> None:
    if isinstance(backend, MLflowVisBackend):
        # At once: MLflow's queue may be dropped when the process ends.
        backend.experiment.log_image(picture, key=name, step=step, synchronous=True)
    elif isinstance(backend, WandbVisBackend):
        wandb = backend.experiment
        wandb.log({name: wandb.Image(picture)}, commit=False)
    else:
        backend.add_image(name, picture, step)


def _step() -> int:
    """Step of the scalars of the present evaluation; 0 of a test."""
    if not is_training():
        return 0
    hub = MessageHub.get_current_instance()
    # MMEngine updates both before it trains, so they lag one behind in a validation.
    counter = 'epoch' if hub.get_info('max_epochs') > 1 else 'iter'
    return hub.get_info(counter) + 1
