"""Levels by band of distance from the border, which follow measured gaps."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from statistics import median_low
from typing import Any

import torch
from torch import Tensor

from ..common.arguments import (
    check_array,
    check_bool,
    check_integer,
    check_number,
    check_text,
    optional,
    reading,
)
from ..common.arrays import REMEDY, LabelWatch
from ..common.bands import NUM_BANDS
from ..common.processes import joined
from ..losses.functional import MAX_STRENGTH
from ..losses.targets import Levels, PerturbedByImage, SmoothedByBand, Target
from ..metrics.band_table import BandTable

# Bands with a smaller share of the pixels have no gap and no limit of their own.
THIN = 0.01


def follow_gaps(
    levels: Tensor,
    gaps: Sequence[Sequence[float]],
    shares: Sequence[float],
    accuracies: Sequence[float],
    gain: float = 1.0,
) -> Tensor:
    """Levels of the bands after a validation, by the formula of docs/levels.md.

    ``gaps`` are those of up to three validations, the newest last, nan for a band
    without pixels. Their median lags one validation, so the loop is stable for a kappa
    below 0.52, and kappa = gain / (1 + 2 gain) stays below 1/2. Bands with less than
    1 % of the pixels share a gap with their neighbour.
    """
    share = torch.tensor(shares, dtype=torch.float64)
    recent = torch.tensor(gaps, dtype=torch.float64).nan_to_num(0.0)
    gap = _spread(_pool_thin_bands(recent.quantile(0.5, 0), share))
    step = gain / (1.0 + 2.0 * gain) * 2.0 * gap
    stepped = levels + step
    # A network that predicts nothing for one validation has all pixels in the last
    # band, whose accuracy must not wipe out the levels at the border.
    accuracy = torch.tensor(accuracies, dtype=torch.float64)
    limit = 2.0 * (1.0 - accuracy.where(share >= THIN, math.nan))
    return torch.fmin(stepped, limit).clamp_(0.0, MAX_STRENGTH)  # nan limits nothing


def _spread(gap: Tensor) -> Tensor:
    """Half of each gap in its band, a quarter in each neighbour; no eigenvalue is 0."""
    before = torch.cat([gap[:1], gap[:-1]])
    after = torch.cat([gap[1:], gap[-1:]])
    return 0.25 * before + 0.5 * gap + 0.25 * after


def _pool_thin_bands(gap: Tensor, share: Tensor) -> Tensor:
    """Give neighbouring bands one gap until they hold 1 % of the pixels together."""
    groups: list[list[int]] = [[]]
    for band in range(len(gap)):
        groups[-1].append(band)
        if share[groups[-1]].sum() >= THIN:
            groups.append([])
    rest = groups.pop()
    if groups:
        groups[-1] += rest

    pooled = gap.clone()
    weighted = gap * share
    for group in groups:
        pooled[group] = weighted[group].sum() / share[group].sum()
    return pooled


def _saved(number: float) -> float | None:
    """Give a number as a state for JSON holds it: None if it is not known."""
    if math.isfinite(number):
        return number
    return None


def _loaded(saved: float | None, unknown: float = math.nan) -> float:
    """Give a number of a state, which older ones hold also if it is not known."""
    if saved is None:
        return unknown
    return saved


# IoU of the foreground below which a network finds hardly any object.
FLOOR = 0.2
# Standard errors over images that a figure may lie below its best.
NOISE = 2.0


@dataclass(frozen=True)
class Best:
    """Best medians so far of IoU and accuracy, and their errors over images then."""

    iou: float = -math.inf
    iou_se: float = math.nan
    acc: float = -math.inf
    acc_se: float = math.nan

    def after(self, iou: float, iou_se: float, acc: float, acc_se: float) -> 'Best':
        """The best once a validation has come."""
        best = self
        if iou > best.iou:
            best = replace(best, iou=iou, iou_se=iou_se)
        if acc > best.acc:
            best = replace(best, acc=acc, acc_se=acc_se)
        return best

    def state_dict(self) -> dict[str, float | None]:
        """Numbers for JSON, None of those that are not known."""
        return {name: _saved(number) for name, number in asdict(self).items()}

    @classmethod
    def load(cls, saved: dict[str, float | None]) -> 'Best':
        """Make it from a state; ValueError if a number is out of its range."""
        best = cls(
            # Before the first validation nothing is the best.
            iou=_loaded(saved['iou'], unknown=-math.inf),
            iou_se=_loaded(saved['iou_se']),
            acc=_loaded(saved['acc'], unknown=-math.inf),
            acc_se=_loaded(saved['acc_se']),
        )
        check_array('best', [best.iou, best.acc], (2,), low=-math.inf, high=1)
        errors = [best.iou_se, best.acc_se]
        check_array('errors', errors, (2,), low=0, nan=True)
        return best


def apply_guard(
    levels: Tensor, stepped: Tensor, iou: float, acc: float, best: Best
) -> tuple[Tensor, str | None]:
    """Levels that a validation allows, and why they do not follow the gaps.

    ``stepped`` are levels that follow the gaps, ``iou`` and ``acc`` medians of the last
    three validations, ``best`` those of the best so far, this validation included.
    docs/levels.md has the rules.
    """
    reason: str | None = None
    if not iou >= FLOOR:
        reason = (
            f'the network finds hardly any object: the IoU of the foreground is '
            f'{iou:.2f} on the validation set, below {FLOOR}'
        )
        return torch.zeros_like(levels), reason

    if iou < best.iou - NOISE * best.iou_se or acc < best.acc - NOISE * best.acc_se:
        stepped = 0.5 * levels  # one step back
        reason = (
            'IoU or accuracy of the validation lies below its best by more than noise'
        )
    if iou < 1.0:
        # A third of TP / (FP + FN).
        stepped = stepped.clamp(max=1 / 3 * iou / (1.0 - iou))
    return stepped, reason


def lower_median(values: list[float]) -> float:
    """Median, the lower one of two; nan counts as 0."""
    return median_low([0.0 if math.isnan(value) else value for value in values])


@dataclass(frozen=True)
class KeptFigures:
    """What is kept of three validations; nan for a band without pixels."""

    gaps: list[float]  # of each band
    shares: list[float]
    iou: float
    acc: float

    def state_dict(self) -> dict[str, Any]:
        """Numbers for JSON, None in place of nan."""
        return dict(
            gaps=[_saved(gap) for gap in self.gaps],
            shares=[_saved(share) for share in self.shares],
            iou=_saved(self.iou),
            acc=_saved(self.acc),
        )

    @classmethod
    def load(cls, saved: dict[str, Any]) -> 'KeptFigures':
        """Take it from a state; ValueError if that cannot have held it."""
        gaps = [_loaded(gap) for gap in saved['gaps']]
        shares = [_loaded(share) for share in saved['shares']]
        iou = _loaded(saved['iou'])
        acc = _loaded(saved['acc'])
        bands = (NUM_BANDS,)
        check_array('gaps', gaps, bands, low=-1, high=1, nan=True)
        check_array('shares', shares, bands, low=0, high=1)
        check_array('iou and acc', [iou, acc], (2,), low=0, high=1, nan=True)
        return cls(gaps, shares, iou, acc)


@dataclass(frozen=True)
class BandFigures(KeptFigures):
    """What levels follow, of the metrics of a validation.

    Attributes:
        gaps (list[float]): Confidence - accuracy of each of the 5 bands of the
            predicted border, the band at the border first; nan without a pixel.
        shares (list[float]): Their shares of the pixels.
        iou (float): IoU of the foreground.
        acc (float): Accuracy of all pixels.
        accuracies (list[float]): Those of the bands; nan without a pixel.
        iou_se (float): Standard error of the IoU over images.
        acc_se (float): Standard error of the accuracy over images.
    """

    accuracies: list[float]
    iou_se: float
    acc_se: float

    @classmethod
    def of(cls, metrics: dict[str, Any]) -> 'BandFigures':
        """Take them from what :meth:`~mmaslp.metrics.BandTable.compute` returns."""
        return cls(**{field.name: metrics[field.name] for field in fields(cls)})

    @property
    def kept(self) -> KeptFigures:
        """KeptFigures: What is kept of them."""
        return KeptFigures(
            gaps=self.gaps, shares=self.shares, iou=self.iou, acc=self.acc
        )


STATE_VERSION = 5


class BandLevels(Levels):
    r"""Label smoothing per band of distance from the label's border, fed back.

    :class:`SelfCalibratingBCE` trains on the expected target :math:`(1 - \epsilon_b) y
    + \epsilon_b / 2`, where b is the band of the pixel in the label
    (:func:`~mmaslp.common.bands.border_bands`). After a validation, each level
    :math:`\epsilon_b` follows the gap, confidence - accuracy, that was measured in the
    same band of the predicted border. So the network's confidence meets its accuracy in
    every band.

    A guard keeps levels from costing objects
    (:func:`~mmaslp.levels.bands.apply_guard`). Save :meth:`state_dict` beside that of
    the optimizer. In a distributed training every process makes its own levels and
    calls :meth:`observe` with its table.

    Args:
        gain (float): Gain of the feedback, > 0; stable for every value. Defaults to 1.
        warmup (int): Validations before the levels begin to move, >= 0. Defaults to 0.

    Attributes:
        levels (Tensor): Smoothing of each band, ``(5,)``, float64, in [0, 0.98], the
            band at the border first. :meth:`observe` moves it in place.
        figures (dict): Metrics of the last validation, for logs, see
            :meth:`~mmaslp.metrics.BandTable.compute`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> from mmaslp.metrics import BandTable
        >>> label = torch.zeros(64, 64)
        >>> label[:, 32:] = 1
        >>> table = BandTable()
        >>> table.update(0.01 + 0.98 * label.roll(2, 1), label)  # wrong at the border
        >>> levels = BandLevels()
        >>> levels.observe(table)
        >>> bool(levels.levels[0] > 0)
        True
    """

    @torch.inference_mode(False)  # else it could only be updated in that mode
    def __init__(self, *, gain: float = 1.0, warmup: int = 0) -> None:
        self.gain = check_number('gain', gain, above=0)
        self.warmup = check_integer('warmup', warmup, at_least=0)
        self.levels = torch.zeros(NUM_BANDS, dtype=torch.float64)
        self.validations = 0
        self.watch = LabelWatch()
        self._recent: list[KeptFigures] = []  # up to three validations, the newest last
        self._held: str | None = None  # why the levels do not follow the gaps
        self._best = Best()
        self.figures: dict[str, Any] = {}
        self._observed: Tensor | None = None  # totals of the last table
        self._idle = 0  # validations since the last batch

    def target(self, perturbed: PerturbedByImage) -> Target:
        """See :class:`~mmaslp.losses.Levels`."""
        if perturbed.alpha or perturbed.deterministic or perturbed.per_pixel:
            raise ValueError(
                'these levels give the smoothing of every pixel: leave alpha, eps, '
                'deterministic and per_pixel out of the loss'
            )
        return SmoothedByBand(self)

    @property
    def mean_level(self) -> float:
        """float: Level of all pixels, for labels without a border, such as points."""
        if not self._recent:
            return self.levels.mean().item()
        shares = torch.tensor(self._recent[-1].shares, dtype=torch.float64)
        return (self.levels @ shares).item()

    @property
    def gaps(self) -> list[float]:
        """list[float]: Confidence - accuracy of each band in the last validation."""
        if not self._recent:
            return []
        return self._recent[-1].gaps

    @property
    def reason(self) -> str | None:
        """str, optional: Why all levels are 0, in a sentence; None if one is not."""
        if self.levels.any():
            return None
        if not self.validations:
            return 'levels are 0: observe(table) has not seen a validation yet'
        if self.validations <= self.warmup:
            return (
                'levels are 0: they begin to move after the warm-up of '
                f'{self.warmup} validations, {self.validations} are done'
            )
        why = (
            'the network is not over-confident, and a level only lowers a confidence; '
            'fit a calibrator instead'
        )
        return f'levels are 0: {self._held or why}'

    def observe(self, table: BandTable, whole: bool = False) -> None:
        """Move the levels after a validation.

        Args:
            table (BandTable): The pixels of the validation set; in a distributed
                training those of this process.
            whole (bool): Whether the table holds the pixels of all processes already.
                Defaults to False.

        Raises:
            ValueError: If it is not a table, is empty or was observed before, or if the
                labels look like masks of 0 and 255. Then no level moves.
        """
        check_bool('whole', whole)
        self._check_new(table)
        observed = table.totals
        if not whole:
            table = joined(table)
        metrics = _metrics_of(table)
        self.watch.check(at_least=10)

        self.figures = metrics
        self._observed = observed
        self._count_validation()
        if table.one_class:
            self._held = 'the labels of the validation set contain one class only'
            return
        self._move(BandFigures.of(metrics))

    def _check_new(self, table: Any) -> None:
        """Refuse what is not the table of a validation that comes now."""
        if not isinstance(table, BandTable) or table.totals is self._observed:
            raise ValueError(
                'observe takes a new BandTable() after each validation, or the counter '
                'of a metric after reset(): the table holds the last validation too, '
                'or is not a BandTable'
            )

    def _move(self, figures: BandFigures) -> None:
        """Take the figures of a validation in; after the warm-up, follow them."""
        self._recent = self._recent[-2:]
        self._recent.append(figures.kept)
        iou = lower_median([validation.iou for validation in self._recent])
        acc = lower_median([validation.acc for validation in self._recent])
        self._best = self._best.after(iou, figures.iou_se, acc, figures.acc_se)
        if self.validations <= self.warmup:
            return

        stepped = self.follow(figures)
        if stepped.shape != self.levels.shape or not stepped.isfinite().all():
            raise ValueError(
                f'follow must return the {NUM_BANDS} levels of the bands, got {stepped}'
            )
        levels, self._held = apply_guard(self.levels, stepped, iou, acc, self._best)
        self.levels.copy_(levels.clamp(0.0, MAX_STRENGTH))

    def follow(self, figures: BandFigures) -> Tensor:
        """Levels of the bands after a validation, ``(5,)``, before the guard.

        ``figures`` are what it has measured, see
        :class:`~mmaslp.levels.bands.BandFigures`. Levels of another kind override this.
        """
        gaps = [validation.gaps for validation in self._recent]
        return follow_gaps(
            self.levels, gaps, figures.shares, figures.accuracies, self.gain
        )

    def _count_validation(self) -> None:
        """Take notice of a validation; warn of two without a batch between them."""
        self.expect_validations()  # who validates once need not be told
        self.validations += 1
        self._idle += 1
        if self._idle == 2:
            warnings.warn(
                'two validations came without a batch of training between them: the '
                'loss that is trained must contain these levels, as '
                'SelfCalibratingBCE(levels), and be in train() mode',
                stacklevel=3,
            )

    def start_batch(self) -> None:
        """Take notice that the losses of one batch follow; here nothing depends on it.

        Toolkits that train several heads call it before the losses of these, and
        :meth:`end_batch` after them.
        """

    def end_batch(self) -> None:
        """Take notice that the losses of a batch are computed."""

    def count_batch(self) -> None:
        """See :class:`~mmaslp.losses.Levels`."""
        self._idle = 0
        super().count_batch()

    def state_dict(self) -> dict[str, Any]:
        """Numbers, lists and dicts, also for JSON; None of what is not known yet."""
        return dict(
            version=STATE_VERSION,
            kind=type(self).__name__,
            levels=self.levels.tolist(),
            validations=self.validations,
            best=self._best.state_dict(),
            recent=[validation.state_dict() for validation in self._recent],
            held=self._held,
        )

    def _check_kind(self, state: Any) -> None:
        """Refuse the state of other levels, or of another version."""
        name = type(self).__name__
        versioned = isinstance(state, dict) and state.get('version') == STATE_VERSION
        if not versioned or state.get('kind') != name:
            raise ValueError(
                f'the state is not one of {name}, or of another version of mmaslp: '
                'train on from the weights, with levels that start at 0'
            )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state; ``gain`` and ``warmup`` stay as given.

        Raises:
            ValueError: If it is damaged, or of another version; then nothing changes.
        """
        self._check_kind(state)
        with reading('the state of BandLevels is damaged'):
            levels = check_array(
                'levels', state['levels'], (NUM_BANDS,), low=0, high=MAX_STRENGTH
            )
            number = check_integer('validations', state['validations'], at_least=0)
            best = Best.load(state['best'])
            recent = [KeptFigures.load(saved) for saved in state['recent']]
            held = optional(check_text, 'held', state['held'])

        self.expect_validations()
        self.levels.copy_(torch.from_numpy(levels))
        self.validations = number
        self._best = best
        self._recent = recent
        self._held = held


def _metrics_of(table: BandTable) -> dict[str, Any]:
    """Metrics of the table of a validation; ValueError if no level can follow it."""
    metrics = table.compute()
    if not table.count:
        raise ValueError(
            'the table of the validation contains no pixel: call update(prob, label) '
            'for every image (Lightning: of the metric, in validation_step), then '
            'observe(table)'
        )
    if math.isnan(metrics['recall']) and table.ignored:
        raise ValueError(
            f'no label of the validation set is 1, and {table.ignored} pixels are '
            f'ignored: {REMEDY}'
        )
    return metrics
