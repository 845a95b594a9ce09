"""Levels by band and a calibrator in a training, in any toolkit."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..calibration.calibrator import Calibrator
from ..calibration.fitting.fit import METHODS, fit_tables
from ..calibration.fitting.pairs import kind_of_items, labelled_map
from ..calibration.fitting.tables import CalibrationTables
from ..common.arguments import (
    check_array,
    check_bool,
    check_choice,
    check_integer,
    given_logger,
    reading,
)
from ..common.arrays import as_floats, checked
from ..common.options import BY, TARGETS
from ..common.processes import gathered, joined, rank_and_size
from ..levels.bands import BandLevels
from ..levels.image_bands import ImageBandLevels
from ..metrics.band_table import BandTable

# Validations between the warm-up and the end: fewer than the least move the levels
# nowhere; with enough of them the levels arrive (docs/levels.md).
LEAST = 5
ENOUGH = 20
# One in so many validations comes before the levels move.
WARMUP = 3
# Of the table of a validation, what toolkits log beside the levels.
METRICS = ('ece_band', 'ece_band_true', 'acc', 'conf', 'iou')


@dataclass(frozen=True)
class Plan:
    """When a training validates, as far as levels are concerned.

    Args:
        validations (int): Validations that training steps follow.
        warmup (int): How many of them come before the levels move.
    """

    validations: int
    warmup: int

    @property
    def left(self) -> int:
        """int: Validations that move the levels."""
        return max(0, self.validations - self.warmup)

    @property
    def problem(self) -> str | None:
        """str, optional: 'error' if they are too few, 'warning' if they are few."""
        if self.left < LEAST:
            return 'error'
        if self.left < ENOUGH:
            return 'warning'
        return None

    def __str__(self) -> str:
        return (
            f'levels move after validations only: {self.left} are between the end of '
            'the warm-up and the end of the training, and the levels need up to '
            f'{ENOUGH}'
        )

    def check(
        self, remedy: str, logger: logging.Logger | logging.LoggerAdapter
    ) -> None:
        """Refuse too few validations, warn of few; ``remedy`` says what to change."""
        if self.problem == 'error':
            raise ValueError(f'{self}; {remedy}')
        if self.problem == 'warning':
            logger.warning(f'{self}; {remedy}')


# Levels that follow the gaps of validations, by the name that options take.
BAND_LEVELS: dict[str, type[BandLevels]] = {
    'image_band': ImageBandLevels,
    'band': BandLevels,
}


def make_band_levels(levels: BandLevels | str, **options: Any) -> BandLevels:
    """Make levels from a name in :data:`BAND_LEVELS`; given ones stay.

    Raises:
        ValueError: The name is not known, or these are other levels.
    """
    if isinstance(levels, BandLevels):
        return levels
    if levels == 'border':
        raise ValueError("levels='border' is levels='band' since version 0.7")
    if not isinstance(levels, str) or levels not in BAND_LEVELS:
        names = ', '.join(map(repr, BAND_LEVELS))
        raise ValueError(
            f'levels must be one of {names}, or BandLevels or ImageBandLevels, '
            f'got {levels!r}'
        )
    return BAND_LEVELS[levels](**options)


class LevelsSession:
    """What a training decides about levels by band, and by image and band.

    A toolkit says how often it validates (:meth:`plan`), hands over the pixels of each
    validation (:meth:`update`, or a table that a metric has counted), and writes what
    it gets back: scalars after each validation (:meth:`end_validation`), and
    :meth:`state_dict` for its checkpoints. In a distributed training every process has
    a session; sums of all processes are added up.

    Args:
        levels (BandLevels | str): Levels; or ``'image_band'`` or ``'band'``, which
            make them with a warm-up of a third of the validations. Defaults to
            'image_band'.
        ignore_index (int): Label of pixels that do not count. Defaults to 255.
        logger (logging.Logger, optional): Where warnings go. Defaults to None: the
            logger 'mmaslp'.

    Attributes:
        levels (BandLevels): The levels, for the loss.

    Raises:
        ValueError: An argument is of another type.

    Example:
        >>> session = LevelsSession()
        >>> session.plan(validations=60)
        Plan(validations=60, warmup=20)
        >>> session.levels.warmup
        20
    """

    def __init__(
        self,
        levels: BandLevels | str = 'image_band',
        ignore_index: int = 255,
        logger: logging.Logger | None = None,
    ) -> None:
        self.levels = make_band_levels(levels)
        self.levels.expect_validations()
        self.warmup: int | None = None  # that of given levels
        if isinstance(levels, BandLevels):
            self.warmup = levels.warmup
        self.ignore_index = check_integer('ignore_index', ignore_index)
        self.logger = given_logger(logger)
        self.start_validation()

    def plan(self, validations: int, warmup: int | None = None) -> Plan:
        """Set the warm-up of the levels.

        Args:
            validations (int): Validations of the training that training steps follow.
            warmup (int, optional): How many of them come before the levels move.
                Defaults to None: that of given levels, else a third.

        Returns:
            Plan: Its :meth:`Plan.check` refuses too few validations.
        """
        third = check_integer('validations', validations, at_least=0) // WARMUP
        if warmup is None:
            warmup = self.warmup
        if warmup is None:
            warmup = third
        self.levels.warmup = check_integer('warmup', warmup, at_least=0)
        return Plan(validations, self.levels.warmup)

    def start_validation(self) -> None:
        """Forget the validation before."""
        self.table = BandTable()

    def update(self, prob: Tensor, labels: Tensor, logits: bool = False) -> None:
        """Count a batch of a validation.

        Args:
            prob (Tensor): Probabilities of the foreground, ``(N, H, W)``,
                ``(N, C, H, W)`` of C binary channels or ``(N, C, D, H, W)``.
            labels (Tensor): Of {0, 1, ignore_index}, same shape, or without the channel
                of ``(N, 1, ...)``.
            logits (bool): Whether ``prob`` holds logits. Defaults to False.

        Raises:
            ValueError: The batch cannot be used.
        """
        if check_bool('logits', logits):
            prob = as_floats(prob)
            # It warns of probabilities. nan may stand where there is no label.
            checked(prob.nan_to_num(), logits=True)
            prob = prob.sigmoid()
        self.table.update(prob, labels, self.ignore_index)

    def end_validation(
        self, table: BandTable | None = None, whole: bool = False
    ) -> dict[str, float]:
        """Move the levels; :meth:`plan` sets a warm-up that they lack.

        Args:
            table (BandTable, optional): The pixels, where a metric has counted them.
                Defaults to None: what :meth:`update` was given.
            whole (bool): Whether it holds the pixels of all processes already. Defaults
                to False.

        Returns:
            dict[str, float]: Metrics of :data:`METRICS`, and the level of each band
            after the move, ``level_band0`` at the border.

        Raises:
            ValueError: See :meth:`~mmaslp.levels.BandLevels.observe`.
        """
        if table is None:
            table = self.table
        self.levels.observe(table, whole)
        logged = {name: self.levels.figures[name] for name in METRICS}
        return logged | self.scalars()

    def scalars(self) -> dict[str, float]:
        """Level of every band, by the name that all toolkits log it under."""
        levels = self.levels.levels.tolist()
        return {f'level_band{band}': level for band, level in enumerate(levels)}

    def end_training(self) -> None:
        """Warn if levels are still 0, with the reason."""
        if self.levels.reason is not None:
            self.logger.warning(f'ASLP: {self.levels.reason}')

    def summary(self) -> str:
        """Say where the levels are, and what they followed."""
        levels = ', '.join(map('{:.4f}'.format, self.levels.levels.tolist()))
        gaps = ', '.join(map('{:+.4f}'.format, self.levels.gaps)) or 'unknown'
        return (
            f'levels by band, from the border on: {levels}; they follow confidence - '
            f'accuracy, in the last validation {gaps}'
        )

    def state_dict(self) -> dict[str, Any]:
        """Numbers, texts, lists and dicts for a checkpoint."""
        return {'levels': self.levels.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`; ValueError if it is damaged, or lacks levels.

        Levels may be lists, as JSON keeps them.
        """
        levels = {}
        if isinstance(state, Mapping):
            levels = state.get('levels', {})
        self.levels.load_state_dict(levels)


_NO_CALIBRATOR = 'no calibrator is fitted'


class CalibratorSession:
    """What a training decides about a calibrator.

    A toolkit hands over the pixels of a validation (:meth:`update`, or :meth:`take`
    where they are counted elsewhere), says when the weights change
    (:meth:`train_step`), and asks for the calibrator of the weights (:meth:`fit`). In a
    distributed training every process has a session; tables of all are added up.

    Args:
        by, method, target (str): See :func:`~mmaslp.calibration.fit_calibrator`.
        ignore_index (int): Label of pixels that do not count. Defaults to 255.
        logger (logging.Logger, optional): Where warnings go. Defaults to None: the
            logger 'mmaslp'.

    Raises:
        ValueError: An argument is unknown.
    """

    def __init__(
        self,
        by: str = 'auto',
        method: str = 'auto',
        target: str = 'confidence',
        ignore_index: int = 255,
        logger: logging.Logger | None = None,
    ) -> None:
        self.by = check_choice('by', by, BY)
        self.method = check_choice('method', method, METHODS)
        self.target = check_choice('target', target, TARGETS)
        self.ignore_index = check_integer('ignore_index', ignore_index)
        self.logger = given_logger(logger)
        self.start_validation()

    @classmethod
    def of(
        cls, option: bool | Mapping[str, Any], ignore_index: int = 255
    ) -> 'CalibratorSession | None':
        """Make one of a toolkit's argument ``calibrator``; None for False.

        Raises:
            ValueError: It is neither True, False nor a mapping of options.
        """
        if option is False:
            return None
        if option is True:
            return cls(ignore_index=ignore_index)
        if not isinstance(option, Mapping):
            raise ValueError(
                'calibrator must be True, False or options such as '
                f"dict(target='probability'), got {option!r}"
            )
        for name in option:
            check_choice('an option of calibrator', name, ('by', 'method', 'target'))
        return cls(**option, ignore_index=ignore_index)

    def start_validation(self, network: nn.Module | None = None) -> None:
        """Forget the validation before; a calibrator remembers the weights."""
        self._tables = CalibrationTables(network)
        self._seen = 0  # images, also those without a label
        self._validated = False
        self._calibrator: Calibrator | None = None

    def update(
        self,
        prob: Tensor,
        labels: Tensor,
        keys: Sequence[int] | None = None,
        logits: bool = False,
        ignore_index: int | None = None,
    ) -> None:
        """Count a batch of a validation.

        Args:
            prob (Tensor): Probabilities of the foreground, ``(N, H, W)``,
                ``(N, C, H, W)`` of C binary channels or ``(N, C, D, H, W)``.
            labels (Tensor): Of {0, 1, ignore_index}, same shape, or without the channel
                of ``(N, 1, ...)``.
            keys (Sequence[int], optional): Number of each image in the whole set, or of
                its patient. Defaults to None: in the order of coming, as samplers of
                torch deal images out to processes.
            logits (bool): Whether ``prob`` holds logits. Defaults to False.
            ignore_index (int, optional): In place of that of the constructor.

        Raises:
            ValueError: The batch cannot be used.
        """
        if self._validated:  # the batch is of another validation
            self.start_validation()
        if prob.ndim < 3 or len(labels) != len(prob):
            raise ValueError(
                f'give a batch (N, ..., H, W) and as many labels, not '
                f'{tuple(prob.shape)} and {len(labels)} labels'
            )
        images = len(prob)
        if ignore_index is None:
            ignore_index = self.ignore_index
        if keys is None:
            keys = self._next_numbers(images)
        numbers = check_array('keys', keys, (images,), int).tolist()

        self._seen += images
        kind = kind_of_items(prob)
        for image, label, number in zip(prob, labels, numbers):
            case = labelled_map(image, label, ignore_index, logits=logits, kind=kind)
            self._tables.count(case, number)

    def _next_numbers(self, images: int) -> list[int]:
        """Numbers of the next images, as samplers of torch deal them out."""
        rank, size = rank_and_size()
        rows = range(self._seen, self._seen + images)
        return [row * size + rank for row in rows]

    def end_validation(self) -> None:
        """Add up what the processes have counted."""
        self._tables = joined(self._tables)
        self._validated = True

    def train_step(self) -> None:
        """Take notice of a step: what was validated are other weights now."""
        if self._validated:
            self.start_validation()

    def take(self, count: Callable[[], CalibrationTables]) -> None:
        """Count a validation elsewhere; a failure costs a warning, not the training.

        ``count`` gives what this process has seen. If it fails in one process, the
        others learn that, and do not wait for its counts.
        """
        self.start_validation()
        tables = CalibrationTables()
        problem = ''
        try:
            tables = count()
        except Exception as error:  # of a network, a disk, a device
            problem = str(error) or type(error).__name__

        problems = [text for text in gathered(problem) if text]
        if problems:
            self.logger.warning(f'{_NO_CALIBRATOR}: {problems[0]}')
            return
        self._tables = joined(tables)
        self._validated = True

    def fit(self) -> Calibrator | None:
        """Fit the calibrator of the last validation, once; None if there is none.

        A failure costs a warning, not the training.
        """
        if not self._validated and self._tables.images.any():
            self.logger.warning(f'{_NO_CALIBRATOR}: end_validation() is to come')
        if self._calibrator is None and self._validated:
            try:
                self._calibrator = fit_tables(
                    self._tables, by=self.by, method=self.method, target=self.target
                )
            except Exception as error:
                self.logger.warning(f'{_NO_CALIBRATOR}: {error}')
                self.start_validation()
        return self._calibrator

    def state_dict(self) -> dict[str, Any]:
        """Numbers, texts, lists and dicts for a checkpoint."""
        calibrator = self.fit()
        return {'calibrator': calibrator and calibrator.to_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`; ValueError if it is damaged."""
        with reading('the state of the calibrator is damaged'):
            saved = state.get('calibrator')
            self.start_validation()
            if saved is not None:
                self._calibrator = Calibrator.from_dict(saved)
                self._validated = True
