"""A bar with the time left of trainings, validations and tests."""

from contextlib import ExitStack
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm.contrib.logging import logging_redirect_tqdm

from ....files.progress import progress_bar

__all__ = ['ProgressHook']

_NAMES = {'train': 'training', 'val': 'validating', 'test': 'testing'}


class ProgressHook(Hook):
    """Shows how far a run is; the commands register it where stderr is a terminal.

    Lines of the log appear above the bar.
    """

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}
        self._log = ExitStack()

    def before_run(self, runner: Runner) -> None:
        """Let the log write above the bars."""
        self._log.enter_context(logging_redirect_tqdm([runner.logger]))

    def after_run(self, runner: Runner) -> None:
        """Give the log back."""
        self._log.close()

    def before_train(self, runner: Runner) -> None:
        """Start at the iteration from which the training goes on."""
        self._start('train', runner.max_iters, runner.iter)

    def after_train(self, runner: Runner) -> None:
        """Remove the bar."""
        self._bars.pop('train').close()

    def before_val_epoch(self, runner: Runner) -> None:
        """Count the batches."""
        self._start('val', len(runner.val_dataloader))

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Remove the bar."""
        self._bars.pop('val').close()

    def before_test_epoch(self, runner: Runner) -> None:
        """Count the batches."""
        self._start('test', len(runner.test_dataloader))

    def after_test_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Remove the bar."""
        self._bars.pop('test').close()

    def _start(self, mode: str, total: int, done: int = 0) -> None:
        self._bars[mode] = progress_bar(_NAMES[mode], total, done)

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
        mode: str = 'train',
    ) -> None:
        self._bars[mode].update()
