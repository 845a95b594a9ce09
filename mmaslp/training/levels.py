"""Levels by band in a training, in any toolkit."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..common.arguments import check_integer
from ..levels.border import BorderLevels
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
    """When a training validates, as far as levels by band are concerned.

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
        if self.left >= ENOUGH:
            return None
        return 'error' if self.left < LEAST else 'warning'

    def __str__(self) -> str:
        return (
            f'levels by band move after validations only: {self.left} lie between the '
            'end of the warm-up and that of the training, and the levels take about '
            f'{ENOUGH} to arrive'
        )

    def check(self, remedy: str, logger: logging.Logger) -> None:
        """Refuse too few validations, warn of few; ``remedy`` says what to change."""
        if self.problem == 'error':
            raise ValueError(f'{self}; {remedy}')
        if self.problem == 'warning':
            logger.warning(f'{self}; {remedy}')


class LevelsSession:
    """What a training decides about levels by band.

    A toolkit says how often it validates (:meth:`plan`), hands over the pixels of each
    validation (:meth:`update`, or a table that a metric has counted), and writes what
    it gets back: scalars after each validation (:meth:`end_validation`), and
    :meth:`state_dict` for its checkpoints. In a distributed training every process has
    a session; sums of all processes are added up.

    Args:
        levels (BorderLevels | str): Levels, or ``'border'``, which makes them with a
            warm-up of a third of the validations. Defaults to 'border'.
        ignore_index (int): Label of pixels that do not count. Defaults to 255.
        logger (logging.Logger, optional): Where warnings go. Defaults to None: the
            logger 'mmaslp'.

    Attributes:
        levels (BorderLevels): The levels, for the loss.

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
        levels: BorderLevels | str = 'border',
        ignore_index: int = 255,
        logger: logging.Logger | None = None,
    ) -> None:
        if levels != 'border' and not isinstance(levels, BorderLevels):
            raise ValueError(f"levels must be 'border' or BorderLevels, got {levels!r}")
        given = isinstance(levels, BorderLevels)
        self.levels = levels if given else BorderLevels()
        self.levels.expect_validations()
        self.warmup = self.levels.warmup if given else None
        self.ignore_index = check_integer('ignore_index', ignore_index)
        self.logger = logger or logging.getLogger('mmaslp')
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
        if warmup is None:
            warmup = self.warmup
        if warmup is None:
            warmup = validations // WARMUP
        self.levels.set_warmup(warmup)
        return Plan(validations, warmup)

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
        prob = prob.sigmoid() if logits else prob
        self.table.update(prob, labels, self.ignore_index)

    def end_validation(
        self, table: BandTable | None = None, whole: bool = False
    ) -> dict[str, float]:
        """Move the levels.

        Args:
            table (BandTable, optional): The pixels, where a metric has counted them.
                Defaults to None: what :meth:`update` was given.
            whole (bool): Whether it holds the pixels of all processes already. Defaults
                to False.

        Returns:
            dict[str, float]: Metrics of :data:`METRICS`, and the level of each band
            after the move, ``level_band0`` at the border.

        Raises:
            ValueError: See :meth:`~mmaslp.levels.BorderLevels.observe`.
        """
        self.levels.observe(self.table if table is None else table, whole)
        values = self.levels.figures
        return {name: values[name] for name in METRICS} | self.scalars()

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
        now = ', '.join(f'{level:.4f}' for level in self.levels.levels.tolist())
        gaps = ', '.join(f'{gap:+.4f}' for gap in self.levels.gaps)
        return (
            f'levels by band, from the border on: {now}; they follow confidence - '
            f'accuracy, in the last validation {gaps or "unknown"}'
        )

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers, texts, lists and dicts for a checkpoint."""
        return {'levels': self.levels.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`; ValueError if it is damaged, or lacks levels.

        Levels may be lists, as JSON keeps them.
        """
        saved = state.get('levels')
        if not saved:
            raise ValueError(
                'the checkpoint holds no levels, or those of another version of '
                'mmaslp: train on from its weights instead of resuming'
            )
        values = torch.as_tensor(saved['levels'], dtype=torch.float64)
        self.levels.load_state_dict({**saved, 'levels': values})
