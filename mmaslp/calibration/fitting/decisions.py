"""Learning which masks to trust, out of fold.

Small predictions of a few features of the object, or of the image, are chosen out of
fold: for objects and the order the simplest that is no worse, for the Dice and the
area the one of the least error.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from ...common.bands import NUM_BANDS
from ...metrics.errors import ordered_pairs
from ...metrics.image_metrics import aurc
from ...metrics.objects import is_real
from ..decisions import (
    FEW_OBJECTS,
    IMAGE_PREDICTORS,
    IN_ORDER_OF_MEAN,
    OBJECT_PREDICTORS,
    Decisions,
    Predictor,
    unit_of_dice,
    weighted_quantile,
)
from ..features import (
    IMAGE_FEATURES,
    UNCALIBRATED,
    UNITS,
    ImageCounts,
    accuracy_of,
    area_of,
    domain_features,
    five_digits,
    image_features,
    object_features,
    probabilities,
    true_accuracy,
    true_dice,
)
from ..maps import CELLS
from ..masks import MASK_KIND, MASKS, dice_threshold
from .methods import FOLDS, OutOfFold, fit_maps, least, simplest
from .predictors import fit_image_predictor, fit_object_predictor, fit_presence

# Objects that a choice of features needs, of either kind that any prediction needs, and
# images with a mask.
LEAST_OBJECTS = 50
LEAST_OF_A_KIND = 5
LEAST_IMAGES = 10
# How far two of the ten surest images may lie below their expected Dice, else no Dice
# is told: one may have a wrong label. Of 25 networks two weak ones exceed it on their
# validation images, of small U-Nets on defects and polyps.
MOST_BELOW = 0.3
# Images of the fit that are kept.
MOST_IMAGES = 1000
# Least probabilities of an object that a table is made for.
CUTS = (0.0, *np.linspace(0.05, 0.95, 19).round(2).tolist())


@dataclass(frozen=True)
class Measured:
    """An image, its fold and group, and the probabilities of the other folds.

    Attributes:
        image (ImageCounts): What it holds.
        prob (np.ndarray): ``(CODES,)`` calibrated probabilities, out of fold.
        group (int): Number of its group, without gaps.
        fold (int): Where it is measured, and not fitted.
    """

    image: ImageCounts
    prob: np.ndarray
    group: int
    fold: int

    @property
    def has_mask(self) -> bool:
        """bool: Whether the network finds anything."""
        return bool(self.image.in_mask.any())


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
    counts: Sequence[ImageCounts], negative_crops: Sequence[ImageCounts] = ()
) -> Decisions:
    """Learn from validation images; :class:`Decisions` says what cannot be told.

    ``negative_crops`` are crops without an object, which tell about empty masks. Groups
    go to five folds, as those of calibrators. Features of a fold come of a calibrator
    that was fitted to the others.
    """
    cases = _measure(counts)
    objects = _fit_objects(cases)
    images = _fit_images(cases)
    area = _fit_area(cases)

    record = dict(
        objects=objects.record,
        images=images.record,
        area=area.record,
        masks=_dice_of_masks(cases),
    )
    empty_crops = _without_mask(negative_crops)
    if negative_crops:
        number = len(negative_crops)
        record['negative_crops'] = dict(number=number, found=number - len(empty_crops))

    empty = _without_mask(images_of(cases)) + empty_crops
    kept = np.linspace(0, len(cases) - 1, MOST_IMAGES).astype(int)
    kept = np.unique(kept)
    columns = KeptColumns.of([cases[row] for row in kept])
    return Decisions(
        objects=objects.predictor,
        image=images.image,
        score=images.score,
        present=images.present,
        features=columns.features,
        expected=five_digits(images.expected[kept].tolist()),
        dice=columns.dice,
        area_errors=five_digits(area.area_errors[kept].tolist()),
        accuracy_errors=columns.accuracy_errors,
        relative=images.relative,
        area_from=area.area_from,
        area_unit=area.area_unit,
        empty=[len(empty), _holding_nothing(empty)],
        cuts=objects.cuts,
        groups=groups_of([cases[row].image for row in kept]),
        record=record,
    )


def groups_of(images: Sequence[ImageCounts]) -> list[int] | None:
    """Numbers of the groups of images; None if each is, or may be, on its own."""
    keys = [image.key for image in images]
    if None in keys or len(set(keys)) == len(keys):
        return None
    return np.unique(np.array(keys, int), return_inverse=True)[1].tolist()


def images_of(cases: Sequence[Measured]) -> list[ImageCounts]:
    """The images alone."""
    return [case.image for case in cases]


def _without_mask(images: Sequence[ImageCounts]) -> list[ImageCounts]:
    """Those in which the network finds nothing."""
    return [image for image in images if not image.in_mask.any()]


def _holding_nothing(images: Sequence[ImageCounts]) -> int:
    """How many images have no foreground."""
    number = 0
    for image in images:
        if not image.counts[:, 1].any():
            number += 1
    return number


@dataclass(frozen=True)
class KeptColumns:
    """Columns of :class:`Decisions` that come of the images alone."""

    features: list[list[float]]
    dice: list[float | None]
    accuracy_errors: list[float | None]

    @classmethod
    def of(cls, cases: Sequence[Measured]) -> 'KeptColumns':
        """A row for each case."""
        columns = cls([], [], [])
        for case in cases:
            dice = None
            if case.has_mask:
                dice = five_digits(true_dice(case.image))

            columns.features.append(domain_features(case.image))
            columns.dice.append(dice)
            columns.accuracy_errors.append(five_digits(_accuracy_error(case)))
        return columns


def _measure(counts: Sequence[ImageCounts]) -> list[Measured]:
    """Put images in one order and into folds, with the probabilities out of fold."""
    images = sorted(counts, key=lambda image: (image.group, image.counts.tobytes()))
    groups = np.unique([image.group for image in images], return_inverse=True)[1]
    folds = groups % FOLDS
    probs = _probabilities_without(images, folds)
    cases = []
    for image, group, fold in zip(images, groups, folds):
        cases.append(Measured(image, probs[fold], group, fold))
    return cases


def _accuracy_error(case: Measured) -> float:
    expected = accuracy_of(case.image, case.prob, valid=True)
    return true_accuracy(case.image) - expected


def _probabilities_without(
    images: Sequence[ImageCounts], folds: np.ndarray
) -> list[np.ndarray]:
    """``(CODES,)`` probabilities by a calibrator of the other folds, for each fold."""
    counts = np.zeros((FOLDS, NUM_BANDS, CELLS, 2), np.int64)
    for image, fold in zip(images, folds):
        counts[fold] += image.labels

    probs = []
    for fold in range(FOLDS):
        others = counts.sum(0) - counts[fold]
        prob = UNCALIBRATED
        if others[..., 1].any():
            prob = probabilities(
                fit_maps(others, int((folds != fold).sum()), *MASK_KIND)
            )
        probs.append(prob)
    return probs


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


@dataclass(frozen=True)
class ObjectRows:
    """The objects of all images, one after another.

    Attributes:
        owner (np.ndarray): ``(O,)`` which image each is of.
        group (np.ndarray): ``(O,)`` its group; also ``fold``.
        features (np.ndarray): ``(O, 7)`` see :func:`object_features`.
        labels (np.ndarray): ``(O, 2)`` its pixels of both labels.
    """

    owner: np.ndarray
    group: np.ndarray
    fold: np.ndarray
    features: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, cases: Sequence[Measured]) -> 'ObjectRows':
        """The objects of the cases, in their order."""
        features = []
        labels = []
        numbers = []
        for case in cases:
            features.append(object_features(case.image, case.prob))
            labels.append(case.image.labels_of_objects())
            numbers.append(case.image.num_objects)

        groups = [case.group for case in cases]
        folds = [case.fold for case in cases]
        return cls(
            owner=np.repeat(np.arange(len(cases)), numbers),
            group=np.repeat(groups, numbers),
            fold=np.repeat(folds, numbers),
            features=np.concatenate(features),
            labels=np.concatenate(labels),
        )

    @property
    def real(self) -> np.ndarray:
        """``(O,)`` whether an object is real."""
        return is_real(self.labels[:, 1], self.labels.sum(1))

    @property
    def labelled(self) -> np.ndarray:
        """``(O,)`` whether anything is known: not all of its pixels are ignored."""
        return self.labels.sum(1) > 0


def _fit_objects(cases: Sequence[Measured]) -> ObjectFit:
    """The probability that an object is real, and what cuts of it cost."""
    rows = ObjectRows.of(cases)
    labelled = rows.labelled
    used = rows.features[labelled]
    outcome = rows.real[labelled]
    folds = rows.fold[labelled]
    record: dict[str, Any] = dict(number=len(outcome), real=int(outcome.sum()))
    if not _can_be_told(outcome, folds):
        return ObjectFit(record)

    candidates = ObjectCandidates(used, outcome, rows.group[labelled], folds)
    chosen = candidates.choose()
    record['chosen'] = chosen
    record['nll'] = {}
    record['auroc'] = {}
    for name, losses in candidates.losses.items():
        record['nll'][name] = float(losses.metrics[0])
        record['auroc'][name] = 1 - float(candidates.order(name).metrics[0])

    prob = np.ones(len(labelled))
    prob[labelled] = candidates.expected[chosen]
    return ObjectFit(
        record=record,
        predictor=fit_object_predictor(chosen, used, outcome),
        cuts=_costs(images_of(cases), rows, prob),
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
            self.measure(FEW_OBJECTS)
            return FEW_OBJECTS

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

        Pairs are of one fold: predictions of two folds are those of two fits.
        """
        wrong = np.zeros(self.groups.max() + 2)
        pairs = np.zeros(self.groups.max() + 2)
        for fold in np.unique(self.folds):
            real, false = self._counts_without_each(self.expected[name], fold)
            pairs_of_fold = real.sum(1) * false.sum(1)
            share = np.nan_to_num(ordered_pairs(real, false))
            wrong += pairs_of_fold * (1 - share)
            pairs += pairs_of_fold

        risk = (wrong / pairs)[:, None]
        return OutOfFold(risk[0], risk[1:][np.unique(self.groups)])

    def _counts_without_each(self, prob: np.ndarray, fold: int) -> np.ndarray:
        """``(2, 1 + G, L)`` real and false objects of a fold by ascending probability.

        The first row is of all groups, each other one of all but one.
        """
        rows = self.folds == fold
        levels, place = np.unique(prob[rows], return_inverse=True)
        by_group = np.zeros((2, self.groups.max() + 1, len(levels)))
        is_false = (~self.real[rows]).astype(int)
        np.add.at(by_group, (is_false, self.groups[rows], place), 1)
        whole = by_group.sum(1, keepdims=True)
        return np.concatenate([whole, whole - by_group], 1)


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
    images: Sequence[ImageCounts], objects: ObjectRows, prob: np.ndarray
) -> list[list[float]]:
    """What leaving out objects below each of CUTS does, see ``Decisions.cuts``."""
    real = objects.real & objects.labelled
    mask = np.zeros((len(images), 2))
    foreground = np.zeros(len(images))
    for row, image in enumerate(images):
        mask[row] = image.counts[image.in_mask][:, :2].sum(0)
        foreground[row] = image.counts[:, 1].sum()

    costs = []
    for cut in CUTS:
        gone = prob < cut
        left = mask.copy()
        np.subtract.at(left, objects.owner[gone], objects.labels[gone])
        size = left.sum(1) + foreground
        dice = np.where(size > 0, 2 * left[:, 1] / np.maximum(size, 1), 1.0)
        kept_real = 1 - (real & gone).sum() / real.sum()
        left_false = (~real & ~gone).sum() / len(images)
        costs.append([cut, kept_real, left_false, dice.mean()])
    return five_digits(costs)


@dataclass(frozen=True)
class MaskedImages:
    """The images with a mask.

    Attributes:
        row (np.ndarray): ``(M,)`` which of the cases each is.
        group (np.ndarray): ``(M,)`` its group; also ``fold``.
        features (np.ndarray): ``(M, 4)`` see :func:`image_features`.
        dice (np.ndarray): ``(M,)`` true Dice.
        present (np.ndarray): ``(M,)`` whether it holds anything.
    """

    row: np.ndarray
    group: np.ndarray
    fold: np.ndarray
    features: np.ndarray
    dice: np.ndarray
    present: np.ndarray

    @classmethod
    def of(cls, cases: Sequence[Measured]) -> 'MaskedImages':
        """Those of the cases that have a mask, in their order."""
        rows = np.flatnonzero([case.has_mask for case in cases])
        features = np.zeros((len(rows), len(IMAGE_FEATURES)))
        dice = np.zeros(len(rows))
        present = np.zeros(len(rows), bool)
        for place, row in enumerate(rows):
            image = cases[row].image
            features[place] = image_features(image, cases[row].prob)
            dice[place] = true_dice(image)
            present[place] = image.counts[:, 1].any()

        return cls(
            row=rows,
            group=np.array([case.group for case in cases])[rows],
            fold=np.array([case.fold for case in cases])[rows],
            features=features,
            dice=dice,
            present=present,
        )

    def __len__(self) -> int:
        return len(self.row)


def _fit_images(cases: Sequence[Measured]) -> ImageFit:
    """What to expect of images with a mask."""
    masked = MaskedImages.of(cases)
    record: dict[str, Any] = dict(number=len(cases), with_mask=len(masked))
    out_of_fold = np.full(len(cases), np.nan)
    if len(masked) < LEAST_IMAGES or len(np.unique(masked.fold)) < 2:
        return ImageFit(record, out_of_fold)

    inputs = masked.features
    dice = masked.dice
    expected = {}
    errors = {}
    risks = {}
    aurcs = {}
    for name in IMAGE_PREDICTORS:
        fit = partial(fit_image_predictor, name)
        values = _predict_out_of_fold(fit, inputs, dice, masked.fold)
        expected[name] = values
        errors[name] = float(np.abs(values - dice).mean())
        risks[name] = _risk_of_order(values, 1 - dice, masked.group)
        aurcs[name] = float(risks[name].metrics[0])

    chosen = least(errors)
    score = simplest(risks)
    below = _below_expected(expected[chosen] - dice, expected[score])
    record |= dict(chosen=chosen, score=score, error=errors, below=below, aurc=aurcs)

    image = None
    if below <= MOST_BELOW:
        image = fit_image_predictor(chosen, inputs, dice)
    out_of_fold[masked.row] = expected[chosen]
    return ImageFit(
        record=record,
        expected=out_of_fold,
        image=image,
        score=fit_image_predictor(score, inputs, dice),
        present=_fit_present(masked),
        relative=_is_relative(expected[chosen], dice),
    )


def _below_expected(apart: np.ndarray, score: np.ndarray) -> float:
    """How far the second worst of the ten surest images lies below its expected Dice.

    Of few images these are the surest third: ten may be all.
    """
    number = min(10, math.ceil(len(apart) / 3))
    surest = np.argsort(-score, kind='stable')[:number]
    return float(np.sort(apart[surest])[-2])


def _fit_present(masked: MaskedImages) -> Predictor | None:
    """Probability that an image with a mask holds anything, or None."""
    present = masked.present
    if min(present.sum(), (~present).sum()) < LEAST_OF_A_KIND:
        return None
    return fit_presence(masked.features, present)


def _risk_of_order(
    score: np.ndarray, risk: np.ndarray, groups: np.ndarray
) -> OutOfFold:
    """AURC of an order, and the mean risk of the surest fifth."""

    def metrics(kept: np.ndarray) -> np.ndarray:
        order = np.argsort(-score[kept], kind='stable')
        surest = risk[kept][order[: max(1, len(order) // 5)]]
        return np.array([aurc(score[kept], risk[kept]), surest.mean()])

    without = [metrics(groups != group) for group in np.unique(groups)]
    return OutOfFold(metrics(np.ones(len(score), bool)), np.stack(without))


def _is_relative(expected: np.ndarray, dice: np.ndarray) -> bool:
    """Whether relative errors give the narrower bounds at 90 %."""
    widths = []
    for relative in (False, True):
        unit = unit_of_dice(expected, relative)
        shift = weighted_quantile((dice - expected) / unit, 0.1) * unit
        widths.append(np.mean(expected - np.clip(expected + shift, 0, expected)))
    return bool(widths[1] < widths[0])


def _fit_area(cases: Sequence[Measured]) -> AreaFit:
    """What to expect of an area.

    The probabilities are those of the least error. The unit is the one whose interval
    of 90 % is narrowest in the mean of logs: what the errors grow with.
    """
    true = np.array([case.image.counts[:, 1].sum() for case in cases])
    residuals = {}
    errors = {}
    for area_from in ('calibrated', 'uncalibrated'):
        residuals[area_from] = true - _areas(cases, area_from, 'area')
        errors[area_from] = float(np.abs(residuals[area_from]).mean())
    chosen = least(errors)

    tail = max(0.05, 1 / (len(cases) + 1))  # that so many images can tell
    in_unit = {}
    widths = {}
    for unit in UNITS:
        scale = _areas(cases, chosen, unit).clip(1e-3)
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


def _areas(cases: Sequence[Measured], area_from: str, unit: str) -> np.ndarray:
    """``(I,)`` expected areas, or units of their errors, of pixels with a label."""
    areas = []
    for case in cases:
        prob = case.prob
        if area_from == 'uncalibrated':
            prob = UNCALIBRATED
        areas.append(area_of(case.image, prob, unit, valid=True))
    return np.array(areas)


def _dice_of_masks(cases: Sequence[Measured]) -> dict[str, float]:
    """Mean Dice of each way to cut a mask, calibrated out of fold."""
    rows = []
    for case in cases:
        image = case.image
        prob = case.prob[image.codes]
        pixels = torch.from_numpy(image.pixels)
        threshold = dice_threshold(torch.from_numpy(prob), pixels)
        masks = dict(keep=image.in_mask, accuracy=prob > 0.5, dice=prob > threshold)
        rows.append([true_dice(image, masks[way]) for way in MASKS])
    return dict(zip(MASKS, np.mean(rows, 0).tolist()))
