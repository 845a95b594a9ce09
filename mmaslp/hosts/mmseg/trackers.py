"""Pictures and histograms for the trackers of a run (its visualizer's backends)."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from mmengine.dist import is_main_process
from mmengine.logging import MMLogger
from mmengine.visualization import (
    BaseVisBackend,
    MLflowVisBackend,
    TensorboardVisBackend,
    Visualizer,
    WandbVisBackend,
)

__all__ = ['send_histogram', 'send_picture']


def send_picture(name: str, picture: np.ndarray, step: int) -> None:
    """Hand a picture to every backend of the run's visualizer, if there is one.

    MMEngine's own ``Visualizer.add_image`` loses the step in two backends. Here MLflow
    gets a picture per step, and W&B gets the picture in the row of the scalars that
    are logged next, which are those of the same validation. A backend that fails costs
    a warning, not the run.
    """
    for backend in _backends():
        with _only_warns(backend, name):
            _send_picture(backend, name, picture, step)


def send_histogram(name: str, values: np.ndarray, step: int) -> None:
    """Hand values to the backends that draw histograms: TensorBoard and W&B."""
    for backend in _backends():
        with _only_warns(backend, name):
            if isinstance(backend, TensorboardVisBackend):
                backend.experiment.add_histogram(name, values, step)
            elif isinstance(backend, WandbVisBackend):
                wandb = backend.experiment
                wandb.log({name: wandb.Histogram(values)}, commit=False)


def _send_picture(
    backend: BaseVisBackend, name: str, picture: np.ndarray, step: int
) -> None:
    if isinstance(backend, MLflowVisBackend):
        # At once: MLflow's queue may be dropped when the process ends.
        backend.experiment.log_image(picture, key=name, step=step, synchronous=True)
    elif isinstance(backend, WandbVisBackend):
        wandb = backend.experiment
        wandb.log({name: wandb.Image(picture)}, commit=False)
    else:
        backend.add_image(name, picture, step)


def _backends() -> list[BaseVisBackend]:
    """Backends of the run on the main process; no public attribute lists them."""
    # Without an instance, get_current_instance() keeps a lock for ever (mmengine 0.10).
    if not is_main_process() or not Visualizer._instance_dict:
        return []
    return [*Visualizer.get_current_instance()._vis_backends.values()]


@contextmanager
def _only_warns(backend: BaseVisBackend, name: str) -> Iterator[None]:
    """Turn every error of a tracker into a warning; each library has its own errors."""
    try:
        yield
    except Exception as error:
        MMLogger.get_current_instance().warning(
            f'{type(backend).__name__} did not take {name}, the run goes on without '
            f'it there: {type(error).__name__}: {error}'
        )
