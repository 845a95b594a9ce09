"""A training with levels by band, with a calibrator, or both, in any toolkit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..calibration.calibrator import Calibrator
from ..calibration.fitting.fit import fit_tables
from ..calibration.fitting.tables import CalibrationTables, has_channels
from ..common.processes import joined
from ..levels.border import BorderLevels
from ..metrics.band_table import BandTable

# Validations between the warm-up and the end: fewer than the least move the levels
# nowhere; with enough of them the levels arrive (docs/levels.md).
LEAST = 5
ENOUGH = 20
# One in so many validations comes before the levels move.
WARMUP = 3
# Of the table of a validation, what toolkits log beside the levels.
FIGURES = ('ece_band', 'ece_band_true', 'acc', 'conf', 'iou')
_NO_CALIBRATOR = 'no calibrator is fitted'


class Session:
    """What a training decides about levels by band and a calibrator.

    A toolkit says how often it validates (:meth:`plan`), hands over the pixels of each
    validation (:meth:`update`), and writes what it gets back: scalars after each
    validation (:meth:`end_validation`), a calibrator at the end (:meth:`end_training`),
    and :meth:`state_dict` for its checkpoints. In a distributed training every process
    has a session; sums of all processes are added up.

    Args:
        levels (BorderLevels | str, optional): Levels; ``'border'`` makes them, with a
            warm-up of a third of the validations. Defaults to None: no levels.
        calibrator (bool | Mapping): Whether to fit a calibrator, or options of
            :func:`~mmaslp.calibration.fit_tables`, such as
            ``dict(target='probability')``. Defaults to False.
        ignore_index (int): Label of pixels that do not count. Defaults to 255.
        logger (logging.Logger, optional): Where warnings go. Defaults to None: the
            logger 'mmaslp'.

    Attributes:
        levels (BorderLevels | None): The levels.
        validations_left (int | None): Validations after the warm-up that training
            steps follow; None before :meth:`plan`.

    Raises:
        ValueError: ``levels`` is something else.

    Example:
        >>> session = Session('border', calibrator=True)
        >>> session.plan(validations=60)
        >>> session.levels.warmup
        20
    """

    def __init__(
        self,
        levels: BorderLevels | str | None = None,
        calibrator: bool | Mapping[str, Any] = False,
        ignore_index: int = 255,
        logger: logging.Logger | None = None,
    ) -> None:
        if levels not in ('border', None) and not isinstance(levels, BorderLevels):
            raise ValueError(
                f"levels must be 'border', BorderLevels or None, got {levels!r}"
            )
        self._own_warmup = levels.warmup if isinstance(levels, BorderLevels) else None
        self.levels = BorderLevels() if levels == 'border' else levels
        if self.levels is not None:
            self.levels.expect_validations()

        self.fits = calibrator is not False
        self.options = dict(calibrator) if isinstance(calibrator, Mapping) else {}
        self.ignore_index = ignore_index
        self.logger = logger or logging.getLogger('mmaslp')
        self.validations_left: int | None = None
        self._calibrator: Calibrator | None = None
        self.start_validation()

    def plan(
        self, validations: int | None, warmup: int | None = None, remedy: str = ''
    ) -> None:
        """Set the warm-up of the levels, and look whether they can arrive.

        Args:
            validations (int, optional): Validations of the training that training
                steps follow; None if nobody knows, which needs a given warm-up.
            warmup (int, optional): How many of them come before the levels move.
                Defaults to None: that of given levels, else a third.
            remedy (str): What to change, if they are too few. Defaults to '': the
                toolkit has looked at their number itself.

        Raises:
            ValueError: Fewer than five are left to move levels, or a third of an
                unknown number is asked for.
        """
        if self.levels is None:
            return
        if warmup is None:
            warmup = self._own_warmup
        if validations is None:
            if warmup is None:
                raise ValueError(
                    'levels warm up for a third of the training, whose length is not '
                    f'known: {remedy}, or give BorderLevels(warmup=20)'
                )
            return

        warmup = validations // WARMUP if warmup is None else warmup
        self.levels.set_warmup(warmup)
        self.validations_left = validations - warmup

        message = f'{too_few(self.validations_left)}; {remedy}'
        if remedy and self.validations_left < LEAST:
            raise ValueError(message)
        if remedy and self.validations_left < ENOUGH:
            self.logger.warning(message)

    def start_validation(self) -> None:
        """Forget the validation before."""
        self.table = BandTable()
        self._tables = CalibrationTables(with_contents=self.fits)
        self._validated = False

    def update(
        self,
        prob: Tensor,
        labels: Tensor,
        keys: Sequence[int] | None = None,
        logits: bool = False,
    ) -> None:
        """Count a batch of a validation.

        Args:
            prob (Tensor): Probabilities of the foreground, ``(N, H, W)``,
                ``(N, C, H, W)`` of C binary channels or ``(N, C, D, H, W)``.
            labels (Tensor): Of {0, 1, ignore_index}, same shape, or without the channel
                of ``(N, 1, ...)``.
            keys (Sequence[int], optional): Number of each image in the whole set, or of
                its patient, for the calibrator. Defaults to None: in the order of
                coming, which is right in one process only.
            logits (bool): Whether ``prob`` holds logits. Defaults to False.

        Raises:
            ValueError: The batch cannot be used.
        """
        if self.levels is not None:
            given = prob.sigmoid() if logits else prob
            self.table.update(given, labels, self.ignore_index)
        if self.fits:
            self.count_for_calibrator(prob, labels, keys, logits)

    def count_for_calibrator(
        self,
        prob: Tensor,
        labels: Tensor,
        keys: Sequence[int] | None = None,
        logits: bool = False,
        ignore_index: int | None = None,
    ) -> None:
        """Count a batch for the calibrator alone, see :meth:`update`."""
        ignored = self.ignore_index if ignore_index is None else ignore_index
        channels = has_channels(prob)
        for row, (image, label) in enumerate(zip(prob, labels)):
            key = None if keys is None else keys[row]
            self._tables.update(image, label, key, ignored, logits, channels)

    def end_validation(self, table: BandTable | None = None) -> dict[str, float]:
        """Move the levels.

        Args:
            table (BandTable, optional): The pixels, where a metric has counted them.
                Defaults to None: what :meth:`update` was given.

        Returns:
            dict[str, float]: Figures of :data:`FIGURES`, and the level of each band
            after the move, ``level_band0`` at the border.

        Raises:
            ValueError: See :meth:`~mmaslp.levels.BorderLevels.observe`.
        """
        self._tables = joined(self._tables)
        self._validated = True
        self._calibrator = None
        if self.levels is None:
            return {}

        self.levels.observe(self.table if table is None else table)
        figures = self.levels.figures
        return {name: figures[name] for name in FIGURES} | self.scalars()

    def scalars(self) -> dict[str, float]:
        """Level of every band, by the name that all toolkits log it under."""
        if self.levels is None:
            return {}
        levels = self.levels.levels.tolist()
        return {f'level_band{band}': level for band, level in enumerate(levels)}

    def train_step(self) -> None:
        """Take notice of a step: what was validated are other weights now."""
        self._validated = False
        self._calibrator = None

    def take(self, count: Callable[[], CalibrationTables]) -> None:
        """Count a validation elsewhere; a failure costs a warning, not the training."""
        try:
            self._tables = count()
            self._validated = True
        except ValueError as error:
            self.logger.warning(f'{_NO_CALIBRATOR}: {error}')

    @property
    def calibrator(self) -> Calibrator | None:
        """Calibrator, optional: Of the weights of the last validation, if unchanged."""
        if self._calibrator is None and self.fits and self._validated:
            try:
                self._calibrator = fit_tables(self._tables, **self.options)
            except ValueError as error:
                self.logger.warning(f'{_NO_CALIBRATOR}: {error}')
                self._validated = False
        return self._calibrator

    def end_training(self) -> Calibrator | None:
        """Fit the calibrator; warn if levels are still 0, with the reason."""
        if self.levels is not None and self.levels.reason is not None:
            self.logger.warning(f'ASLP: {self.levels.reason}')
        return self.calibrator

    def summary(self) -> str:
        """Say where the levels are, and what calibrator was fitted and why."""
        lines = []
        if self.levels is not None:
            lines.append(f'ASLP: {describe_levels(self.levels)}')
        if self.calibrator is not None:
            lines.append(f'ASLP: {self.calibrator.summary()}')
        return '\n'.join(lines)

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers, texts, lists and dicts for a checkpoint."""
        calibrator = self.calibrator
        return dict(
            levels=None if self.levels is None else self.levels.state_dict(),
            calibrator=None if calibrator is None else calibrator.to_dict(),
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`; ValueError if it is damaged, or lacks levels.

        Levels may be lists, as JSON keeps them.
        """
        saved = state.get('levels')
        if self.levels is not None:
            if not saved:
                raise ValueError(
                    'the checkpoint holds no levels, or those of mmaslp 0.2: train on '
                    'from its weights instead of resuming'
                )
            values = torch.as_tensor(saved['levels'], dtype=torch.float64)
            self.levels.load_state_dict({**saved, 'levels': values})
        if state.get('calibrator') is not None:
            self._calibrator = Calibrator.from_dict(state['calibrator'])


def too_few(validations_left: int) -> str:
    """Say how often levels by band move, and how often they must."""
    return (
        f'levels by band move after validations only: {max(0, validations_left)} lie '
        'between the end of the warm-up and that of the training, and the levels take '
        f'about {ENOUGH} to arrive'
    )


def describe_levels(levels: BorderLevels) -> str:
    """Say where the levels are, and what they followed."""
    now = ', '.join(f'{level:.4f}' for level in levels.levels.tolist())
    gaps = ', '.join(f'{gap:+.4f}' for gap in levels.gaps)
    return (
        f'levels by band, from the border on: {now}; they follow confidence - '
        f'accuracy, in the last validation {gaps or "unknown"}'
    )
