"""Learning which masks to trust, out of fold.

Small predictions of a few features of the object, or of the image, are chosen out of
fold: for objects and the order the simplest that is no worse, for the Dice and the
area the one of the least error.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ...common.options import MASKS
from ...metrics.errors import ordered_pairs
from ...metrics.image_metrics import aurc
from ..decisions import (
    IMAGE_PREDICTORS,
    IN_ORDER_OF_MEAN,
    OBJECT_PREDICTORS,
    OF_FEW_OBJECTS,
    Decisions,
    Predictor,
    relative_is_narrower,
    weighted_quantile,
)
from ..features import UNITS, ImageCounts, five_digits
from .cases import (
    AREAS_FROM,
    ImageRows,
    KeptImages,
    ObjectRows,
    cases_of,
    labels_of_groups,
)
from .methods import OutOfFold, least, simplest
from .packed import PackedImages
from .predictors import fit_image_predictor, fit_object_predictor, fit_presence

# Objects that a choice of features needs, of either kind that any prediction needs, and
# images with a mask.
LEAST_OBJECTS = 50
LEAST_OF_A_KIND = 5
LEAST_WITH_MASK = 10
# How far two of the ten surest images may lie below their expected Dice, else no Dice
# is told: one may have a wrong label. Of 25 networks two weak ones exceed it on their
# validation images, of small U-Nets on defects and polyps.
MOST_BELOW = 0.3
# Images of the fit that are kept.
MOST_IMAGES = 1000
# Least probabilities of an object that a table is made for.
CUTS = (0.0, *np.linspace(0.05, 0.95, 19).round(2).tolist())


@dataclass(frozen=True)
class ObjectFit:
    """What objects tell: :class:`Decisions` has ``predictor`` and ``cuts``."""

    record: dict[str, Any]
    predictor: Predictor | None = None
    cuts: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True)
class ImageFit:
    """What images with a mask tell; fields but the first are those of ``Decisions``."""

    record: dict[str, Any]
    expected: np.ndarray
    image: Predictor | None = None
    score: Predictor | None = None
    present: Predictor | None = None
    relative: bool = False


@dataclass(frozen=True)
class AreaFit:
    """What areas tell; fields but the first are those of :class:`Decisions`."""

    record: dict[str, Any]
    area_from: str
    area_unit: str
    area_errors: np.ndarray


def fit_decisions(
    images: Iterable[ImageCounts],
    negative_crops: Iterable[ImageCounts] = (),
    labels: Mapping[int, np.ndarray] | None = None,
) -> Decisions:
    """Learn from validation images; :class:`Decisions` says what cannot be told.

    ``negative_crops`` are crops without an object, which tell about empty masks. Groups
    go to five folds, as those of calibrators. Features of a fold come of a calibrator
    that was fitted to the others. ``labels`` are the pixels of both labels of each
    group, by default counted anew; see :func:`~.cases.labels_of_groups`.
    """
    packed = images
    if not isinstance(packed, PackedImages):
        packed = PackedImages(images)
    if labels is None:
        labels = labels_of_groups(packed)
    kept_rows = np.linspace(0, len(packed) - 1, MOST_IMAGES).astype(int)
    kept_rows = np.unique(kept_rows)
    rows, kept = _measure(packed, labels, kept_rows)

    objects = _fit_objects(rows)
    fitted = _fit_images(rows)
    area = _fit_area(rows)
    record = dict(
        objects=objects.record,
        images=fitted.record,
        area=area.record,
        masks=dict(zip(MASKS, np.mean(rows.dice_of_masks, 0).tolist())),
    )
    crops = CropCounts.of(negative_crops)
    if crops.number:
        record['negative_crops'] = dict(number=crops.number, found=crops.found)

    is_empty = ~rows.has_mask
    empty = int(is_empty.sum()) + crops.empty
    nothing = int((is_empty & ~rows.present).sum()) + crops.nothing
    return Decisions(
        objects=objects.predictor,
        image=fitted.image,
        score=fitted.score,
        present=fitted.present,
        features=kept.features,
        expected=five_digits(fitted.expected[kept_rows].tolist()),
        dice=kept.dice,
        area_errors=five_digits(area.area_errors[kept_rows].tolist()),
        accuracy_errors=kept.accuracy_errors,
        relative=fitted.relative,
        area_from=area.area_from,
        area_unit=area.area_unit,
        empty=[empty, nothing],
        cuts=objects.cuts,
        groups=kept.groups(),
        record=record,
    )


def _measure(
    images: PackedImages, labels: Mapping[int, np.ndarray], kept_rows: np.ndarray
) -> tuple[ImageRows, KeptImages]:
    """Measure every image, and keep more of those of some rows."""
    is_kept = np.zeros(len(images), bool)
    is_kept[kept_rows] = True
    rows = ImageRows(len(images))
    kept = KeptImages()
    for row, case in enumerate(cases_of(images, labels)):
        rows.put(row, case)
        if is_kept[row]:
            kept.append(case)
    return rows, kept


@dataclass
class CropCounts:
    """Numbers of crops without an object.

    Attributes:
        number (int): All of them.
        empty (int): Those in which the network finds nothing.
        nothing (int): Those of the empty ones that hold no foreground either.
    """

    number: int = 0
    empty: int = 0
    nothing: int = 0

    @classmethod
    def of(cls, crops: Iterable[ImageCounts]) -> 'CropCounts':
        """Count crops."""
        counts = cls()
        for crop in crops:
            is_empty = not crop.in_mask.any()
            counts.number += 1
            counts.empty += is_empty
            counts.nothing += is_empty and not crop.foreground
        return counts

    @property
    def found(self) -> int:
        """int: Those in which it finds something."""
        return self.number - self.empty


def _predict_out_of_fold(
    fit: Callable[[np.ndarray, np.ndarray], Predictor],
    inputs: np.ndarray,
    target: np.ndarray,
    folds: np.ndarray,
) -> np.ndarray:
    """Predictions for each fold by what ``fit`` makes of the others."""
    values = np.zeros(len(inputs))
    for fold in np.unique(folds):
        rest = folds != fold
        predictor = fit(inputs[rest], target[rest])
        values[~rest] = predictor(inputs[~rest])
    return values


def _fit_objects(images: ImageRows) -> ObjectFit:
    """The probability that an object is real, and what cuts of it cost."""
    objects = images.objects()
    labelled = objects.labelled
    used = objects.features[labelled]
    outcome = objects.real[labelled]
    folds = objects.fold[labelled]
    record: dict[str, Any] = dict(number=len(outcome), real=int(outcome.sum()))
    if not _can_be_told(outcome, folds):
        return ObjectFit(record)

    candidates = ObjectCandidates(used, outcome, objects.group[labelled], folds)
    chosen = candidates.choose()
    record['chosen'] = chosen
    record['nll'] = {}
    record['auroc'] = {}
    for name, losses in candidates.losses.items():
        record['nll'][name] = float(losses.metrics[0])
        risk = float(candidates.order(name).metrics[0])
        record['auroc'][name] = None if math.isnan(risk) else 1 - risk

    prob = np.ones(len(labelled))
    prob[labelled] = candidates.expected[chosen]
    return ObjectFit(
        record=record,
        predictor=fit_object_predictor(chosen, used, outcome),
        cuts=_costs(images, objects, prob),
    )


@dataclass
class ObjectCandidates:
    """Predictions of objects out of fold, and how good they are.

    Attributes:
        features (np.ndarray): ``(O, 7)`` of objects of which something is known.
        real (np.ndarray): ``(O,)`` whether each is real; also its ``groups`` and
            ``folds``.
        expected (dict[str, np.ndarray]): ``(O,)`` probabilities by candidate.
        losses (dict[str, OutOfFold]): NLL and squared error by candidate.
    """

    features: np.ndarray
    real: np.ndarray
    groups: np.ndarray
    folds: np.ndarray
    expected: dict[str, np.ndarray] = field(default_factory=dict)
    losses: dict[str, OutOfFold] = field(default_factory=dict)

    def choose(self) -> str:
        """Pick the candidate that objects are predicted with.

        Few are drawn to their uncalibrated mean. Of many the simplest is taken that is
        no worse than the best, but none that orders them worse than that mean does.
        """
        if len(self.real) < LEAST_OBJECTS:
            self.measure('uncalibrated')
            self.measure(OF_FEW_OBJECTS)
            return OF_FEW_OBJECTS

        for name in OBJECT_PREDICTORS:
            self.measure(name)
        chosen = simplest(self.losses)
        if self.order(chosen).is_worse(self.order('uncalibrated')):
            self.measure(IN_ORDER_OF_MEAN)
            return IN_ORDER_OF_MEAN
        return chosen

    def measure(self, name: str) -> None:
        """Predict out of fold with a candidate, and compare with what is true."""
        fit = partial(fit_object_predictor, name)
        prob = _predict_out_of_fold(fit, self.features, self.real, self.folds)
        losses = _losses_of_objects(prob, self.real)
        self.expected[name] = prob
        self.losses[name] = OutOfFold.of_losses(losses, self.groups)

    def order(self, name: str) -> OutOfFold:
        """1 less the AUROC of a candidate: how often it orders a pair wrongly.

        Pairs are of one fold: predictions of two folds are those of two fits. Where no
        fold has a pair it is nan, and then no candidate is known to keep the order.
        """
        groups, number_of_group = np.unique(self.groups, return_inverse=True)
        # The first place is of all groups, each other one of all but one.
        wrong = np.zeros(1 + len(groups))
        pairs = np.zeros(1 + len(groups))
        for fold in np.unique(self.folds):
            rows = self.folds == fold
            places = 1 + np.unique(number_of_group[rows])
            real, false = self._counts_without_each(self.expected[name], rows)
            pairs_of_fold = real.sum(1) * false.sum(1)
            share = np.nan_to_num(ordered_pairs(real, false))
            wrong_of_fold = pairs_of_fold * (1 - share)
            pairs += _of_all_groups(pairs_of_fold, places, len(pairs))
            wrong += _of_all_groups(wrong_of_fold, places, len(wrong))

        risk = np.full((len(pairs), 1), np.nan)
        np.divide(wrong, pairs, out=risk[:, 0], where=pairs > 0)
        return OutOfFold(risk[0], risk[1:])

    def _counts_without_each(self, prob: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """``(2, 1 + G, L)`` real and false objects of a fold by ascending probability.

        The first row is of all groups of the fold, each other one of all but one.
        ``rows`` are its objects.
        """
        distinct, place = np.unique(prob[rows], return_inverse=True)
        groups, group = np.unique(self.groups[rows], return_inverse=True)
        by_group = np.zeros((2, len(groups), len(distinct)))
        is_false = (~self.real[rows]).astype(int)
        np.add.at(by_group, (is_false, group, place), 1)
        whole = by_group.sum(1, keepdims=True)
        return np.concatenate([whole, whole - by_group], 1)


def _of_all_groups(of_fold: np.ndarray, places: np.ndarray, number: int) -> np.ndarray:
    """``(1 + G,)`` figures of a fold without each group: one of another changes none.

    ``of_fold`` are those with all groups, and without each one in the fold, which have
    these places.
    """
    values = np.full(number, of_fold[0])
    values[places] = of_fold[1:]
    return values


def _losses_of_objects(prob: np.ndarray, real: np.ndarray) -> np.ndarray:
    """``(O, 2)`` NLL and squared error of each object."""
    prob = np.clip(prob, 1e-6, 1 - 1e-6)
    nll = -np.log(np.where(real, prob, 1 - prob))
    return np.stack([nll, (prob - real) ** 2], 1)


def _can_be_told(real: np.ndarray, folds: np.ndarray) -> bool:
    """Whether ``(O,)`` objects are enough, and any four folds hold both kinds."""
    for of_kind in (real, ~real):
        if of_kind.sum() < LEAST_OF_A_KIND or len(np.unique(folds[of_kind])) < 2:
            return False
    return True


def _costs(
    images: ImageRows, objects: ObjectRows, prob: np.ndarray
) -> list[list[float]]:
    """What leaving out objects below each of CUTS does, see ``Decisions.cuts``."""
    real = objects.labelled & objects.real
    false = objects.labelled & ~objects.real
    costs = []
    for cut in CUTS:
        gone = prob < cut
        left = images.labels_in_mask.copy()
        np.subtract.at(left, objects.owner[gone], objects.labels[gone])
        size = left.sum(1) + images.foreground
        dice = np.where(size > 0, 2 * left[:, 1] / np.maximum(size, 1), 1.0)
        kept_real = 1 - (real & gone).sum() / real.sum()
        left_false = (false & ~gone).sum() / len(images)
        costs.append([cut, kept_real, left_false, dice.mean()])
    return five_digits(costs)


def _fit_images(images: ImageRows) -> ImageFit:
    """What to expect of images with a mask."""
    masked = np.flatnonzero(images.has_mask)
    group = images.group[masked]
    fold = images.fold[masked]
    record: dict[str, Any] = dict(number=len(images), with_mask=len(masked))
    out_of_fold = np.full(len(images), np.nan)
    if len(masked) < LEAST_WITH_MASK or len(np.unique(fold)) < 2:
        return ImageFit(record, out_of_fold)

    inputs = images.features[masked]
    dice = images.dice[masked]
    expected = {}
    errors = {}
    risks = {}
    aurcs = {}
    for name in IMAGE_PREDICTORS:
        fit = partial(fit_image_predictor, name)
        values = _predict_out_of_fold(fit, inputs, dice, fold)
        expected[name] = values
        errors[name] = float(np.abs(values - dice).mean())
        risks[name] = _risk_of_order(values, 1 - dice, group)
        aurcs[name] = float(risks[name].metrics[0])

    chosen = least(errors)
    score = simplest(risks)
    below = _below_expected(expected[chosen] - dice, expected[score])
    record |= dict(chosen=chosen, score=score, error=errors, below=below, aurc=aurcs)

    image = None
    if below <= MOST_BELOW:
        image = fit_image_predictor(chosen, inputs, dice)
    out_of_fold[masked] = expected[chosen]
    return ImageFit(
        record=record,
        expected=out_of_fold,
        image=image,
        score=fit_image_predictor(score, inputs, dice),
        present=_fit_present(inputs, images.present[masked]),
        relative=relative_is_narrower(expected[chosen], dice),
    )


def _below_expected(apart: np.ndarray, score: np.ndarray) -> float:
    """How far the second worst of the ten surest images lies below its expected Dice.

    Of few images these are the surest third: ten may be all.
    """
    number = min(10, math.ceil(len(apart) / 3))
    surest = np.argsort(-score, kind='stable')[:number]
    return float(np.sort(apart[surest])[-2])


def _fit_present(inputs: np.ndarray, present: np.ndarray) -> Predictor | None:
    """Probability that an image with a mask holds anything, or None."""
    if min(present.sum(), (~present).sum()) < LEAST_OF_A_KIND:
        return None
    return fit_presence(inputs, present)


def _risk_of_order(
    score: np.ndarray, risk: np.ndarray, groups: np.ndarray
) -> OutOfFold:
    """AURC of an order, and the mean risk of the surest fifth."""
    order = np.argsort(-score, kind='stable')

    def metrics(kept: np.ndarray) -> np.ndarray:
        kept_in_order = order[kept[order]]
        surest = risk[kept_in_order[: max(1, len(kept_in_order) // 5)]]
        return np.array([aurc(score[kept], risk[kept]), surest.mean()])

    without = [metrics(groups != group) for group in np.unique(groups)]
    return OutOfFold(metrics(np.ones(len(score), bool)), np.stack(without))


def _fit_area(images: ImageRows) -> AreaFit:
    """What to expect of an area.

    The probabilities are those of the least error. The unit is the one whose interval
    of 90 % is narrowest in the mean of logs: what the errors grow with.
    """
    residuals = {}
    errors = {}
    for area_from in AREAS_FROM:
        residuals[area_from] = images.foreground - images.area[area_from]
        errors[area_from] = float(np.abs(residuals[area_from]).mean())
    chosen = least(errors)

    tail = max(0.05, 1 / (len(images) + 1))  # that so many images can tell
    in_unit = {}
    widths = {}
    for unit in UNITS:
        scale = images.units[chosen][unit].clip(1e-3)
        in_unit[unit] = residuals[chosen] / scale
        low = weighted_quantile(in_unit[unit], tail)
        high = weighted_quantile(in_unit[unit], 1 - tail)
        widths[unit] = np.log(scale).mean() + np.log(max(high - low, 1e-9))

    unit = least(widths)
    return AreaFit(
        record=dict(chosen=chosen, error=errors),
        area_from=chosen,
        area_unit=unit,
        area_errors=in_unit[unit],
    )
