"""Fits a calibrator when a training ends."""

import logging
import os.path as osp
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import MMLogger, print_log
from mmseg.registry import HOOKS

from ....calibration.calibrator import CALIBRATOR_FILE, Calibrator
from ....training.sessions import CalibratorSession
from ....training.written import note_written
from ..calibration import (
    REPEATED,
    collect_tables,
    keep_in_checkpoint,
    validation_reader,
)
from ..checks.findings import Finding
from ..checks.run import check_once
from ..data import dataset_of, rounds_of
from ..saving import save_safely
from ..work_dir import check_replaceable


@HOOKS.register_module()
class CalibratorHook(Hook):
    """Fit a calibrator on the validation set when a training ends.

    Levels can only lower a confidence; a calibrator raises one too. The hook writes it
    to ``calibrator.json`` in the work directory and into the last checkpoint. There
    ``mmaslp test`` finds it and prints a raw and a calibrated row. The fit costs one
    pass over the validation set.

    Args:
        method (str): See :func:`~mmaslp.calibration.fit_calibrator`. Defaults to
            'auto'.
        by (str): See there. Defaults to 'auto'.
        target (str): See there. Defaults to 'confidence'.

    Raises:
        ValueError: At once if an argument is unknown; before the training if there is
            no validation set.

    Example:
        >>> custom_hooks = [dict(type='CalibratorHook')]
    """

    priority = 'LOWEST'  # after CheckpointHook

    def __init__(
        self,
        method: str = 'auto',
        by: str = 'auto',
        target: str = 'confidence',
    ) -> None:
        self.session = CalibratorSession(
            by, method, target, logger=MMLogger.get_current_instance()
        )

    def findings(self, runner: Any) -> Iterator[Finding]:
        """Say what in a run leaves nothing to fit on; the doctor asks too."""
        if runner.val_loop is None:
            yield Finding(
                'error',
                'CalibratorHook fits on the validation set, and there is none',
                'val_dataloader = dict(...)  (of images that are not trained on)\n'
                "val_cfg = dict(type='ValLoop')\n"
                "val_evaluator = [dict(type='CalibrationMetric')]",
            )
            return

        if rounds_of(dataset_of(runner.val_loop)) > 1:
            yield Finding(
                'error',
                f'{REPEATED}, and CalibratorHook would count each of them so often',
                'val_dataloader.dataset: the data set in it',
            )

    def before_train(self, runner: Any) -> None:
        """Refuse a run without a validation set, or whose output would be lost."""
        check_once(runner, ('train', 'val'))
        self._file = osp.join(runner.work_dir, CALIBRATOR_FILE)
        check_replaceable(runner, self._file)
        save_safely(runner)

    def after_train(self, runner: Any) -> None:
        """Fit, and keep the calibrator with the last checkpoint."""
        loader = runner.val_loop.dataloader
        reader = validation_reader(runner.cfg)
        with averaged_weights(runner):
            self.session.take(lambda: collect_tables(runner.model, loader, reader))

        if not is_main_process():
            return
        calibrator = self.session.fit()
        if calibrator is None:
            return
        calibrator.save(self._file, overwrite=True)
        note_written(self._file)
        print_log(
            f'calibrator in {self._file}\n{calibrator.summary()}', logger='current'
        )
        self._keep(calibrator, runner)

    def _keep(self, calibrator: Calibrator, runner: Any) -> None:
        """Keep a calibrator in the last checkpoint, or say that it is not there."""
        path = runner.message_hub.get_info('last_ckpt') or ''
        if osp.isdir(path):
            return  # of shards
        is_kept = osp.isfile(path) and keep_in_checkpoint(path, calibrator, runner.iter)
        if not is_kept:
            print_log(
                'The calibrator belongs to the weights at the end of this training, '
                'but no checkpoint contains these weights. Set save_last in '
                'CheckpointHook, or fit a calibrator to a checkpoint: `mmaslp fit '
                'CONFIG CHECKPOINT --out FILE`',
                logger='current',
                level=logging.WARNING,
            )


@contextmanager
def averaged_weights(runner: Any) -> Iterator[None]:
    """Give a model the averaged weights, which checkpoints hold, for a while."""
    averaging = [hook for hook in runner.hooks if isinstance(hook, EMAHook)]
    for hook in averaging:
        hook.before_val_epoch(runner)
    try:
        yield
    finally:
        for hook in averaging:
            hook.after_val_epoch(runner)
