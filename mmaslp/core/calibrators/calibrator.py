"""A fitted calibrator: apply it to maps or logits, put it into a module, keep it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..argument_checks import check_choice
from ..bands import border_bands
from ..measure.inputs import as_floats, checked
from ..outputs import write_output
from .cells import LIMIT
from .file import checked_arguments, from_plain, read_plain, to_plain
from .lookup import look_up, segments
from .maps import Knots
from .mask_figures import MASK_KIND, MASKS
from .masks import dice_optimal_mask
from .module import CalibratedModule
from .summary import as_text
from .tables import as_logits

Maps = TypeVar('Maps', Tensor, np.ndarray)
# Pixels at a time: the temporaries stay in the cache.
_CHUNK = 2**16


@dataclass(frozen=True, eq=False)
class Calibrator:
    """Calibrated probabilities for the probabilities or logits of one network.

    :func:`~mmaslp.core.calibrators.fit_calibrator` makes it.

    Args:
        method (str): See :func:`fit_calibrator`, but not 'auto'; so ``by``, 'single' or
            'band', and ``target``.
        maps (Sequence): Knots of each map, see :mod:`~mmaslp.core.calibrators.maps`.
        record (dict): What the fit says of itself: candidates, remarks, numbers of
            images and pixels; plain values.
        mask_maps (Sequence): Knots of a map by band of target 'probability', which
            :meth:`masks` cuts. Defaults to none: ``maps``.

    Example:
        >>> knots = [0, 10], [0, 5]
        >>> calibrator = Calibrator('temperature', 'single', 'confidence', [knots])
        >>> calibrator(torch.tensor([[0.5, 0.9]]))  # 0.9 has the odds 9, its root is 3
        tensor([[0.5000, 0.7500]])
    """

    method: str
    by: str
    target: str
    maps: Sequence[Knots]
    record: dict[str, Any] = field(default_factory=dict)
    mask_maps: Sequence[Knots] = ()

    def __post_init__(self) -> None:
        for name, value in checked_arguments(vars(self)).items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        images = self.record.get('images', 'unknown')
        return (
            f'Calibrator({self.method!r}, by={self.by!r}, target={self.target!r}, '
            f'images={images})'
        )

    def __eq__(self, other: object) -> bool:
        """Whether both give the same file."""
        return isinstance(other, Calibrator) and self._text() == other._text()

    def __hash__(self) -> int:
        return hash(self._text())

    def __call__(self, prob: Maps) -> Maps:
        """Calibrate probabilities."""
        return self._apply(prob, logits=False)

    def logits(self, logit: Maps) -> Maps:
        """Calibrate logits of the positive class, as :meth:`__call__` probabilities."""
        return self._apply(logit, logits=True)

    def masks(self, given: Maps, choice: str = 'dice', logits: bool = False) -> Maps:
        """Return a mask for each map; the probabilities of :meth:`__call__` stay.

        Args:
            given (Tensor | np.ndarray): Probabilities as the network gives them: one
                image ``(H, W)``, one volume ``(D, H, W)``, or a batch of them,
                ``(N, C, H, W)`` or ``(N, C, D, H, W)``.
            choice (str): 'keep': the network's decision; 'accuracy': where the
                probability of label 1 is above 1/2; 'dice': the mask of the largest
                expected Dice of each image or whole volume
                (:func:`~mmaslp.core.calibrators.masks.dice_optimal_mask`). Defaults to
                'dice'.
            logits (bool): Whether logits are given. Defaults to False.

        Returns:
            Tensor | np.ndarray: Bool, same kind and shape.
        """
        check_choice('choice', choice, MASKS)
        if choice == 'keep':
            checked(as_floats(given), logits)
            return given > (0 if logits else 0.5)
        own = self
        if self.mask_maps:
            kind: dict[str, Any] = dict(zip(('method', 'by', 'target'), MASK_KIND))
            own = replace(self, **kind, maps=self.mask_maps)
        prob: Any = own.logits(given) if logits else own(given)
        if logits:
            prob = torch.as_tensor(prob).sigmoid()
            prob = prob.numpy() if isinstance(given, np.ndarray) else prob
        mask: Any = prob > 0.5 if choice == 'accuracy' else dice_optimal_mask(prob)
        return mask

    def wrap(self, module: nn.Module, independent: bool = False) -> CalibratedModule:
        """Return a module that gives calibrated logits; see ``CalibratedModule``."""
        return CalibratedModule(module, self.table, independent)

    def save(self, file: str | Path) -> None:
        """Write it as JSON; ValueError if a file of another kind would be lost."""
        write_output(file, self._text(), 'calibrator')

    @classmethod
    def load(cls, file: str | Path) -> Calibrator:
        """Read what :meth:`save` wrote; ValueError if the file is anything else."""
        try:
            return cls.from_dict(read_plain(file))
        except ValueError as error:
            reason = str(error).removeprefix('not a calibrator: ')
            raise ValueError(
                f'{file} is not a calibrator: {reason}; make one with mmaslp fit'
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Give it as numbers, texts, lists and dicts, for any checkpoint."""
        return to_plain(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Calibrator:
        """Make what :meth:`to_dict` gave; ValueError if it is anything else."""
        try:
            return cls(**from_plain(plain))
        except ValueError as error:
            raise ValueError(f'not a calibrator: {error}') from error

    def summary(self) -> str:
        """Say what was chosen and why, with a table of the candidates."""
        where = 'by band' if self.by == 'band' else 'for all pixels'
        masks = 'stay the same' if self.target == 'confidence' else 'may move'
        return as_text(f'{self.method} {where}; masks {masks}', self.record)

    @cached_property
    def table(self) -> Tensor:
        """``(2, B, S)`` float64 segments of the maps."""
        return torch.from_numpy(segments(self.maps, self.target))

    def _text(self) -> str:
        return json.dumps(to_plain(self), indent=1, allow_nan=False) + '\n'

    def _apply(self, given: Maps, logits: bool) -> Maps:
        values = as_floats(given)
        if values.dim() < 2:
            raise ValueError(f'a map must be (..., H, W), not {tuple(values.shape)}')
        shape = values.shape
        values = checked(values[None].flatten(0, -3), logits)
        found = values.clone(memory_format=torch.contiguous_format)
        if self.method != 'identity':
            self._calibrate(found, logits)
        found = found.view(shape)
        return found.numpy() if isinstance(given, np.ndarray) else found

    def _calibrate(self, values: Tensor, logits: bool) -> None:
        """Calibrate ``(M, H, W)`` maps in place, piece by piece."""
        table, pieces = self.table.to(values), values.flatten().split(_CHUNK)
        bands: Any = [None] * len(pieces)
        if self.by == 'band':
            mask = values > (0 if logits else 0.5)
            bands = border_bands(mask).flatten().split(_CHUNK)
        for piece, band in zip(pieces, bands):
            if logits:
                piece.copy_(look_up(piece, band, table))
            else:
                logit = as_logits(piece).clamp_(-LIMIT, LIMIT)
                torch.sigmoid(look_up(logit, band, table), out=piece)
