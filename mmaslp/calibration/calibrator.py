"""A fitted calibrator: its maps, the module that wraps a network, and its file."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from ..common.arguments import check_choice, check_number, check_path
from ..common.arrays import as_floats, as_tensor, checked, known_pixels, one_logit
from ..common.bands import BORDER_EDGES, NUM_BANDS, border_bands
from ..common.outputs import write_output
from ..common.weights import same_weights
from ..metrics.objects import MaskScores, MaskTruth, mended
from .contents import Contents, contents_of
from .decisions import Decisions
from .estimates import (
    ImageEstimate,
    ObjectTable,
    decisions_in_words,
    estimate_image,
    table_of_objects,
)
from .features import probabilities
from .maps import LIMIT, MAPS, TARGETS, Knots, look_up, segments
from .masks import MASK_KIND, MASKS, dice_optimal_mask
from .tables import as_logits, count_pixels

MAX_BYTES = 2**20
# Largest calibrated logit of a knot; the least temperature gives 16500.
MAX_LEVEL = 2e4
# What plain values always say, and what they may say of the maps.
_HEAD = dict(format='mmaslp calibrator', version=1, edges=list(BORDER_EDGES))
_FIELDS = ('method', 'by', 'target', 'maps', 'record', 'mask_maps')
_CHOICES = dict(method=tuple(MAPS), by=('single', 'band'), target=TARGETS)
_BROKEN = (AttributeError, KeyError, OverflowError, RecursionError, TypeError)


def to_plain(calibrator: Any) -> dict[str, Any]:
    """Give the arguments of a calibrator as numbers, texts, lists and dicts."""
    plain = {**_HEAD, **{name: getattr(calibrator, name) for name in _FIELDS}}
    if calibrator.decisions is not None:
        plain['decisions'] = calibrator.decisions.to_dict()
    for key in ('maps', 'mask_maps'):
        plain[key] = [
            dict(knots=np.array(knots).tolist(), levels=np.array(levels).tolist())
            for knots, levels in plain[key]
        ]
    return plain


def from_plain(plain: Any) -> dict[str, Any]:
    """Give the arguments that :func:`to_plain` took; ValueError if these are none."""
    try:
        content = dict(plain)
        for key, value in _HEAD.items():
            if content.pop(key) != value:
                raise ValueError(f'{key} must be {value!r}')
        decisions = content.pop('decisions', None)
        unknown = content.keys() - {*_FIELDS}
        if unknown:
            raise ValueError(f'{", ".join(sorted(unknown))} is not known')
        for key in ('maps', 'mask_maps'):
            content[key] = [(curve['knots'], curve['levels']) for curve in content[key]]
        if decisions is not None:
            decisions = Decisions.from_dict(decisions)
        return {**{name: content[name] for name in _FIELDS}, 'decisions': decisions}
    except _BROKEN as error:
        what = f'it lacks {error}' if isinstance(error, KeyError) else error
        raise ValueError(str(what)) from error


def read_plain(file: str | Path) -> Any:
    """Read the values of a JSON file; ValueError if it is not one."""
    file = Path(check_path('file', file)).expanduser()
    if file.exists() and not file.is_file() and not file.is_dir():
        raise ValueError('it is not a file')  # a pipe never ends

    with file.open('rb') as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f'it has more than {MAX_BYTES:,} bytes')

    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def checked_arguments(content: dict[str, Any]) -> dict[str, Any]:
    """Refuse arguments that make no calibrator; knots become arrays."""
    for key, choices in _CHOICES.items():
        check_choice(key, content[key], choices)

    bands = NUM_BANDS if content['by'] == 'band' else 1
    targets = dict(maps=content['target'], mask_maps='probability')
    found = {}
    for key, numbers in (('maps', (bands,)), ('mask_maps', (0, NUM_BANDS))):
        try:
            found[key] = [_knots(curve, targets[key]) for curve in content[key]]
        except (OverflowError, TypeError) as error:
            raise ValueError(f'{key} must be pairs of numbers ({error})') from error
        if len(found[key]) not in numbers:
            raise ValueError(f'it needs {numbers[-1]} {key}')

    if not isinstance(content['record'], dict):
        raise ValueError('it needs a record')
    return found


def _knots(given: Any, target: str) -> Knots:
    knots, levels = (np.array(values, float) for values in given)
    fits = knots.ndim == 1 and knots.shape == levels.shape
    if not fits or len(knots) < 2:
        raise ValueError('a map must have two knots or more and as many levels')
    for values, most in ((knots, LIMIT + 1e-6), (levels, MAX_LEVEL)):
        if not (np.abs(values) <= most).all() or not (np.diff(values) > 0).all():
            raise ValueError(f'knots and levels must ascend and lie within {most:.4g}')
    # The size of a logit is never negative, and the logit itself is.
    if (knots[0] < 0) != (target == 'probability'):
        raise ValueError(f'its knots are not those of the target {target!r}')
    return knots, levels


_TITLES = dict(ece='ECE', ece_band='ECE by band', brier='Brier score', nll='NLL')
_MASKS = dict(
    keep='masks of the network',
    accuracy='calibrated probability above 1/2',
    dice='mask of the largest expected Dice',
)


def as_text(name: str, record: dict[str, Any]) -> str:
    """Write the reason, the table of candidates and the remarks."""
    lines = [f'{name}.', *filter(None, [record.get('reason')])]
    if rows := record.get('candidates'):
        lines += [
            'Measured on images that the map was not fitted to: '
            f'{cases_in_words(record["images"], record["groups"])}, '
            f'{record["pixels"]:,} pixels.',
            'Lower is better; in brackets the 95 % interval of the change from '
            'identity; > is the choice.',
            'single: one map for all pixels; band: one for each band of distance from '
            'the border.',
            ' ' * 22 + ''.join(f'{title:<26}' for title in _TITLES.values()).rstrip(),
        ]
        lines += [_line(row) for row in rows]

    if masks := record.get('masks'):
        lines.append(_masks(masks, record))
    return '\n'.join([*lines, *record.get('remarks', [])])


def cases_in_words(images: int, cases: int) -> str:
    """Say how many images there are, and of how many groups if they are fewer."""
    return f'{images} images' + (f' of {cases} groups' if cases < images else '')


def _masks(masks: dict[str, Any], record: dict[str, Any]) -> str:
    what = 'images' if record['groups'] == record['images'] else 'groups'
    drawn = masks['images']
    of = '' if drawn == record['groups'] else f' drawn from {record["groups"]}'
    known = {name: gain for name, gain in masks.items() if name != 'images'}
    best = max(known, key=lambda name: known[name]['dice'])
    found = (
        f'{_MASKS[name]} {gain["dice"]:.4f} (IoU {gain["iou"]:.4f})'
        for name, gain in known.items()
    )
    return (
        f'Mean Dice of {drawn} {what}{of}: {", ".join(found)}; '
        f'apply --masks {best} writes those of the highest Dice beside the maps.'
    )


def _line(row: dict[str, Any]) -> str:
    line = f'{">" if row["chosen"] else " "} {row["method"]:<12}{row["by"]:<8}'
    for key in _TITLES:
        low, high = row[f'{key}_change']
        change = f'[{low:+.4f}, {high:+.4f}]' if low or high else ''
        line += f'{row[key]:.4f} {change:<19}'
    return line.rstrip()


class CalibratedModule(nn.Module):
    """Calibrate the logits that a module returns; made by ``Calibrator.wrap``.

    ``torch.export`` and ``torch.onnx.export`` keep it, with any number of images. A
    calibrator by band keeps the height and width of the example, since the width of the
    bands scales with the image: a model of dynamic size is refused by the exporter, or
    by what runs it.

    Args:
        module (nn.Module): Returns logits ``(N, H, W)``, or ``(N, C, H, W)``, of
            volumes ``(N, C, D, H, W)``: C = 2 channels are background and foreground,
            and keep their mean.
        table (Tensor): That of the calibrator.
        independent (bool): Whether two channels are independent binary ones. Defaults
            to False.
    """

    table: Tensor

    def __init__(
        self, module: nn.Module, table: Tensor, independent: bool = False
    ) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise ValueError(f'wrap takes a module, got {module!r}')
        self.module = module
        self.independent = independent
        self.register_buffer('table', table.float())

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Run the module and calibrate what it returns."""
        logit = self.module(*args, **kwargs)
        if not isinstance(logit, Tensor) or not logit.is_floating_point():
            raise ValueError(
                'the module must return one tensor of logits, not '
                f'{getattr(logit, "dtype", type(logit).__name__)}: wrap one that does'
            )

        if logit.dim() not in (3, 4, 5):
            raise ValueError(
                'the module must return maps of logits, (N, H, W), (N, C, H, W) or '
                f'(N, C, D, H, W), not {tuple(logit.shape)}: wrap one that does'
            )

        softmax = logit.dim() > 3 and not self.independent
        if softmax and logit.shape[1] == 2:
            half = self._calibrated(one_logit(logit)) / 2
            mean = logit.mean(1)
            return torch.stack([mean - half, mean + half], 1)

        if softmax and logit.shape[1] > 2:
            raise ValueError(
                f'the module returns {logit.shape[1]} channels: wrap one of 1 or 2, or '
                'say independent=True if each is a binary map'
            )

        return self._calibrated(logit)

    def _calibrated(self, logit: Tensor) -> Tensor:
        bands = None
        if self.table.shape[1] > 1:
            maps = logit.reshape(-1, *logit.shape[-2:])
            bands = border_bands(maps > 0).view(logit.shape)
        return look_up(logit.float(), bands, self.table).to(logit.dtype)


Maps = TypeVar('Maps', Tensor, np.ndarray)
# Pixels at a time: the temporaries stay in the cache.
_CHUNK = 2**16


@dataclass(frozen=True, eq=False)
class Calibrator:
    """Calibrated probabilities for the probabilities or logits of one network.

    :func:`~mmaslp.calibration.fit_calibrator` makes it.

    Args:
        method (str): See :func:`fit_calibrator`, but not 'auto'; so ``by``, 'single' or
            'band', and ``target``.
        maps (Sequence): Knots of each map, see :mod:`~mmaslp.calibration.maps`.
        record (dict): What the fit says of itself: candidates, remarks, numbers of
            images and pixels; plain values.
        mask_maps (Sequence): Knots of a map by band of target 'probability', which
            :meth:`masks` cuts. Defaults to none: ``maps``.
        decisions (Decisions, optional): What :meth:`objects` and :meth:`image` know.
            Defaults to None: nothing.

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
    decisions: Decisions | None = None

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
                (:func:`~mmaslp.calibration.dice_optimal_mask`). Defaults to
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

    def objects(self, given: Maps, logits: bool = False) -> ObjectTable:
        """Find the objects of one image, and how probable it is that each is real.

        An object is a connected component of the mask p > 1/2, see
        :func:`~mmaslp.common.components.find_objects`. It is real if more than half
        of its pixels are foreground.

        Args:
            given (Tensor | np.ndarray): Probabilities as the network gives them: one
                image ``(H, W)`` or one volume ``(D, H, W)``, on any device.
            logits (bool): Whether logits are given. Defaults to False.

        Raises:
            ValueError: The map cannot be used, or the calibrator was fitted without
                objects.
        """
        return table_of_objects(*self._judged(given, logits))

    def image(
        self, given: Maps, logits: bool = False, level: float = 0.9
    ) -> ImageEstimate:
        """Say what to expect of the mask p > 1/2 of one image; see :meth:`objects`.

        ``level`` in (0, 1) is the share of images that a bound holds for.
        """
        check_number('level', level, above=0, below=1)
        decisions, contents, prob, _ = self._judged(given, logits)
        return estimate_image(decisions, contents, prob, level)

    def judge(
        self, given: Maps, logits: bool = False, level: float = 0.9
    ) -> tuple[ImageEstimate, ObjectTable]:
        """Give :meth:`image` and :meth:`objects` in one pass."""
        check_number('level', level, above=0, below=1)
        decisions, contents, prob, labels = self._judged(given, logits)
        estimate = estimate_image(decisions, contents, prob, level)
        return estimate, table_of_objects(decisions, contents, prob, labels)

    def judge_batch(
        self, given: Maps, logits: bool = False, level: float = 0.9
    ) -> list[tuple[ImageEstimate, ObjectTable]]:
        """Give :meth:`judge` of every image of a batch, on any device.

        ``given`` is ``(N, 1, H, W)``, of volumes ``(N, 1, D, H, W)``; or the two logits
        of a softmax, ``(N, 2, ...)``.
        """
        values = as_floats(given)
        channels = values.shape[1] if values.dim() > 3 else 0
        if channels not in ((1, 2) if logits else (1,)):
            raise ValueError(
                'give a batch (N, 1, H, W) or (N, 1, D, H, W), or two logits, not '
                f'{tuple(values.shape)}'
            )
        return [self.judge(image, logits, level) for image in one_logit(values)]

    def scores(
        self,
        given: Maps,
        label: Maps,
        ignore_index: int | None = 255,
        logits: bool = False,
    ) -> MaskScores:
        """Say what :meth:`judge` says of one image, beside what is true."""
        values = as_floats(given)
        labels = as_tensor(label, 'label').to(values.device).reshape(values.shape)
        values = mended(values, known_pixels(labels, ignore_index), logits)
        estimate, objects = self.judge(values, logits)

        mask = (values > (0 if logits else 0.5)).cpu().numpy()
        masks = (mask, labels.cpu().numpy(), objects.labels)
        truth = MaskTruth.of(*masks, len(objects), ignore_index)
        said = truth.pairs(objects.probability)
        return MaskScores(said, truth.dice, estimate.dice, estimate.score)

    def wrap(self, module: nn.Module, independent: bool = False) -> CalibratedModule:
        """Return a module that gives calibrated logits; see ``CalibratedModule``.

        It warns if the calibrator was fitted to a network of other weights.
        """
        self.check_network(module)
        return CalibratedModule(module, self.table, independent)

    def is_fitted_to(self, network: nn.Module) -> bool:
        """Whether the weights are those of the fit; True if that is not known."""
        return same_weights(network, self.record.get('network'))

    def check_network(self, network: nn.Module) -> None:
        """Warn if the calibrator is known to be fitted to other weights."""
        if isinstance(network, nn.Module) and not self.is_fitted_to(network):
            warnings.warn(
                'the calibrator was fitted to a network of other weights, or of '
                'another precision: a calibrator belongs to one set of weights, so fit '
                'it again',
                stacklevel=3,
            )

    def save(self, file: str | Path, overwrite: bool = False) -> None:
        """Write it as JSON; FileExistsError if a file is there already."""
        write_output(file, self._text(), overwrite)

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
        text = as_text(f'{self.method} {where}; masks {masks}', self.record)
        if self.decisions is None:
            return text
        return '\n'.join([text, *decisions_in_words(self.decisions)])

    @cached_property
    def table(self) -> Tensor:
        """``(2, B, S)`` float64 segments of the maps."""
        return torch.from_numpy(segments(self.maps, self.target))

    def need_decisions(self) -> Decisions:
        """Return what is known of objects and images; ValueError if that is nothing."""
        if self.decisions is None or not self.mask_maps:
            raise ValueError(
                'this calibrator knows nothing of objects and images, as those of '
                'mmaslp 0.3 and those of several channels: fit it again with `mmaslp '
                'fit` or fit_calibrator'
            )
        return self.decisions

    def check_objects(self) -> None:
        """Refuse to judge objects where the validation images could not tell."""
        if self.need_decisions().objects is None:
            raise ValueError(
                'this calibrator cannot tell which objects are real: fit it with '
                '`mmaslp fit` to images with fifty objects or more, five of either kind'
            )

    def _judged(
        self, given: Maps, logits: bool
    ) -> tuple[Decisions, Contents, np.ndarray, np.ndarray]:
        """What is known, the counts of an image, their probabilities, its objects."""
        decisions = self.need_decisions()
        values = checked(as_floats(given), logits)
        if values.dim() not in (2, 3) or not values.numel():
            raise ValueError(
                'give one image (H, W) or one volume (D, H, W), not '
                f'{tuple(values.shape)}'
            )
        maps = values.reshape(-1, *values.shape[-2:])
        mixed, mask, counts = count_pixels(maps, logits)
        parts = [part.view(values.shape).cpu().numpy() for part in (mixed, mask)]
        contents, labels = contents_of(parts[0], parts[1], counts.numpy())
        return decisions, contents, self._code_probabilities, labels

    @cached_property
    def _code_probabilities(self) -> np.ndarray:
        return probabilities(self.mask_maps)

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
        table = self.table.to(values)
        pieces = values.flatten().split(_CHUNK)
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
