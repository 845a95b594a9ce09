"""A calibrator for the network of a training, in any toolkit."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from ..calibration.calibrator import Calibrator
from ..calibration.fitting.fit import BY, METHODS, fit_tables
from ..calibration.fitting.tables import CalibrationTables, has_channels
from ..calibration.maps import TARGETS
from ..common.arguments import check_choice, check_integer
from ..common.processes import joined

# How toolkits name the file beside their checkpoints.
CALIBRATOR_FILE = 'calibrator.json'
_NO_CALIBRATOR = 'no calibrator is fitted'


class CalibratorSession:
    """What a training decides about a calibrator.

    A toolkit hands over the pixels of a validation (:meth:`update`, or :meth:`take`
    where they are counted elsewhere), says when the weights change
    (:meth:`train_step`), and asks for the :attr:`calibrator` of the weights. In a
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
        self.options = dict(
            by=check_choice('by', by, BY),
            method=check_choice('method', method, METHODS),
            target=check_choice('target', target, TARGETS),
        )
        self.ignore_index = check_integer('ignore_index', ignore_index)
        self.logger = logger or logging.getLogger('mmaslp')
        self._calibrator: Calibrator | None = None
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
        if option is not True and not isinstance(option, Mapping):
            raise ValueError(
                'calibrator must be True, False or options such as '
                f"dict(target='probability'), got {option!r}"
            )
        options = {} if option is True else dict(option)
        for name in options:
            check_choice('an option of calibrator', name, ('by', 'method', 'target'))
        return cls(**options, ignore_index=ignore_index)

    def start_validation(self) -> None:
        """Forget the validation before."""
        self._tables = CalibrationTables()
        self._validated = False

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
                its patient. Defaults to None: in the order of coming, which is right in
                one process only.
            logits (bool): Whether ``prob`` holds logits. Defaults to False.
            ignore_index (int, optional): In place of that of the constructor.

        Raises:
            ValueError: The batch cannot be used.
        """
        ignored = self.ignore_index if ignore_index is None else ignore_index
        channels = has_channels(prob)
        numbers = [None] * len(prob) if keys is None else keys
        for image, label, key in zip(prob, labels, numbers, strict=True):
            self._tables.update(image, label, key, ignored, logits, channels)

    def end_validation(self) -> None:
        """Add up what the processes have counted."""
        self._tables = joined(self._tables)
        self._validated = True
        self._calibrator = None

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
        if self._calibrator is None and self._validated:
            try:
                self._calibrator = fit_tables(self._tables, **self.options)
            except ValueError as error:
                self.logger.warning(f'{_NO_CALIBRATOR}: {error}')
                self._validated = False
        return self._calibrator

    def state_dict(self) -> dict[str, Any]:
        """Numbers, texts, lists and dicts for a checkpoint."""
        calibrator = self.calibrator
        return {'calibrator': None if calibrator is None else calibrator.to_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`; ValueError if it is damaged."""
        if state.get('calibrator') is not None:
            self._calibrator = Calibrator.from_dict(state['calibrator'])
