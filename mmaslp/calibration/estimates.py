"""What to expect of an image and its objects, and of a set of images elsewhere.

A set is compared with the images of the fit; where it is not like them, bounds are
weighted or withheld.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import count
from math import comb

import numpy as np
from scipy import ndimage, special
from torch import Tensor

from ..common.arguments import check_members
from ..common.arrays import as_floats, as_tensor, checked, fill_ignored, known_pixels
from ..metrics.objects import MaskTable, MaskTruth, find_objects
from .decisions import LEAST_EMPTY, MARGIN, Decisions, weighted_quantile
from .features import (
    CODES,
    DOMAIN_FEATURES,
    UNCALIBRATED,
    WEIGHT_FEATURES,
    ImageCounts,
    accuracy_of,
    area_of,
    domain_features,
    domain_inputs,
    expected_dice,
    image_features,
    object_features,
)


@dataclass(frozen=True)
class ImageEstimate:
    """What to expect of the mask p > 1/2 of one image; nan where nothing can be told.

    Attributes:
        dice (float): Expected Dice, the median of such images: their mean is lower
            where some hold nothing, see ``present``. Of an empty mask: the probability
            that the image holds nothing.
        dice_low (float): A share ``level`` of such images has this Dice or more.
        iou (float): Expected IoU; also ``iou_low``.
        accuracy (float): Expected share of right pixels; also ``accuracy_low``.
        area (float): Expected foreground, in pixels; with an interval of the level,
            ``area_low`` and ``area_high``.
        area_unit (float): What the interval of the area grows with.
        present (float): Probability that the image holds anything at all.
        objects (int): Number of objects found.
        pixels (int): Number of pixels.
        score (float): Orders images: the most doubtful have the least. Below 0 outside
            of the range of the fit, and nan where nothing is known: both come first.
        level (float): Of the bounds.
        distance (float): How far the image is outside of the range of the images of the
            fit, in widths of that range; 0 inside.
        out_of_range (bool): Whether that is too far: no bound, accuracy or area is
            given then, and ``dice`` is at most what the probabilities say.
        features (tuple[float, ...]): Domain features, by which a set is compared.
    """

    dice: float
    dice_low: float
    iou: float
    iou_low: float
    accuracy: float
    accuracy_low: float
    area: float
    area_low: float
    area_high: float
    area_unit: float
    present: float
    objects: int
    pixels: int
    score: float
    level: float
    distance: float
    out_of_range: bool
    features: tuple[float, ...]


def estimate_image(
    decisions: Decisions, image: ImageCounts, prob: np.ndarray, level: float = 0.9
) -> ImageEstimate:
    """Say what to expect of an image, by ``(CODES,)`` calibrated probabilities."""
    features = domain_features(image)
    distance = decisions.distance(features)
    far = distance > MARGIN
    dice, score, present = (
        _expected(decisions, image, prob, far)
        if image.in_mask.any()
        else _empty(decisions)
    )

    of_area = UNCALIBRATED if decisions.area_from == 'uncalibrated' else prob
    estimate = ImageEstimate(
        dice=dice,
        dice_low=np.nan,
        iou=dice / (2 - dice),
        iou_low=np.nan,
        accuracy=accuracy_of(image, prob),
        accuracy_low=np.nan,
        area=area_of(image, of_area),
        area_low=np.nan,
        area_high=np.nan,
        area_unit=area_of(image, of_area, decisions.area_unit),
        present=present,
        objects=image.num_objects,
        pixels=int(image.pixels.sum()),
        score=score,
        level=level,
        distance=distance,
        out_of_range=far,
        features=tuple(features),
    )
    return with_bounds(decisions, estimate)


def _expected(
    decisions: Decisions, image: ImageCounts, prob: np.ndarray, far: bool
) -> tuple[float, float, float]:
    """Expected Dice of an image with a mask, its score, and ``present``."""
    features = image_features(image, prob)[None]
    dice, score, present = (
        np.nan if predict is None else float(predict(features)[0])
        for predict in (decisions.image, decisions.score, decisions.present)
    )
    probable = min(expected_dice(image, prob), expected_dice(image, UNCALIBRATED))
    if np.isnan(score):  # an order holds also where no Dice can be told
        score = probable
    if far:
        return float(np.minimum(dice, probable)), probable - 1, present
    return dice, score, present


def _empty(decisions: Decisions) -> tuple[float, float, float]:
    """The same of an image with an empty mask: it is right if nothing is there."""
    images, nothing = decisions.empty
    if images < LEAST_EMPTY:
        return np.nan, np.nan, np.nan
    chance = (nothing + 0.5) / (images + 1)
    # Where no mask has an expected Dice, a mean would be one of empty masks.
    return chance if decisions.image else np.nan, chance, 1 - chance


def with_bounds(
    decisions: Decisions, estimate: ImageEstimate, weights: np.ndarray | None = None
) -> ImageEstimate:
    """Give an estimate its bounds, by weights of the images of the fit if they differ.

    An image outside of the range has none, and no accuracy and area either.
    """
    if estimate.out_of_range:
        return replace(estimate, accuracy=np.nan, area=np.nan)
    level = estimate.level
    low = (
        decisions.lower_dice(estimate.dice, level, weights)
        if estimate.features[2] > 0
        else (0.0 if estimate.dice < level else estimate.dice)  # nan stays
    )

    errors = decisions.errors
    worst = weighted_quantile(errors['accuracy_errors'], 1 - level, weights)
    area_low, area_high = (
        estimate.area
        + estimate.area_unit * weighted_quantile(errors['area_errors'], tail, weights)
        for tail in ((1 - level) / 2, (1 + level) / 2)
    )
    return replace(
        estimate,
        dice_low=low,
        iou_low=low / (2 - low),
        accuracy_low=float(np.clip(estimate.accuracy + worst, 0, estimate.accuracy)),
        area_low=float(np.clip(area_low, 0, None)),
        area_high=float(np.clip(area_high, None, estimate.pixels)),
    )


@dataclass(frozen=True)
class ObjectTable:
    """The objects of one image with D axes.

    Attributes:
        labels (np.ndarray): Map of the image: 0, or the label of the object.
        label (np.ndarray): ``(O,)`` 1 to O.
        probability (np.ndarray): ``(O,)`` that the object is real; nan where the
            validation images could not tell.
        low (np.ndarray): ``(O,)`` lower end of a range of 90 % of the probability,
            where few validation objects tell it; nan elsewhere. Also ``high``.
        area (np.ndarray): ``(O,)`` pixels, of a volume voxels.
        box (np.ndarray): ``(O, D, 2)`` first and last place along each axis, inclusive.
        centre (np.ndarray): ``(O, D)`` centre of mass, in pixels.
        mean (np.ndarray): ``(O,)`` mean probability of the pixels, by
            :attr:`~mmaslp.calibration.Calibrator.mask_calibrator`.
    """

    labels: np.ndarray
    label: np.ndarray
    probability: np.ndarray
    low: np.ndarray
    high: np.ndarray
    area: np.ndarray
    box: np.ndarray
    centre: np.ndarray
    mean: np.ndarray

    def __len__(self) -> int:
        return len(self.label)


def box_of(sides: Iterable[slice]) -> np.ndarray:
    """``(D, 2)`` first and last place along each axis of the slices of an object."""
    return np.array([(side.start, side.stop - 1) for side in sides])


def table_of_objects(
    decisions: Decisions, image: ImageCounts, prob: np.ndarray, labels: np.ndarray
) -> ObjectTable:
    """Put the objects of an image together, by ``(CODES,)`` probabilities."""
    number = image.num_objects
    features = object_features(image, prob)
    probability = low = high = np.full(number, np.nan)
    if decisions.objects is not None and number:
        probability = decisions.objects(features)
        low, high = decisions.objects.range(features)

    boxes = np.zeros((number, labels.ndim, 2), np.int64)
    centres = np.zeros((number, labels.ndim))
    for row, box in enumerate(ndimage.find_objects(labels, number)):
        boxes[row] = box_of(box)
        centres[row] = boxes[row, :, 0] + np.argwhere(labels[box] == row + 1).mean(0)

    area = image.sums_of_objects(np.ones(CODES))
    return ObjectTable(
        labels=labels,
        label=np.arange(1, number + 1),
        probability=probability,
        low=low,
        high=high,
        area=area.astype(np.int64),
        box=boxes,
        centre=centres,
        mean=image.sums_of_objects(prob) / np.maximum(area, 1),
    )


def mask_estimates(
    prob: Tensor | np.ndarray,
    label: Tensor | np.ndarray,
    ignore_index: int | None = 255,
) -> MaskTable:
    """Estimate the mask of one map ``(H, W)`` or ``(D, H, W)``, beside its truth.

    An object is as probable as the mean of its pixels. The expected Dice, and what
    orders images, is the Soft Dice Confidence, which tells nothing of an empty mask.
    Source: `Borges et al. <https://arxiv.org/abs/2402.10665>`_.
    """
    prob = as_floats(prob).cpu()
    labels = as_tensor(label, 'label').cpu().reshape(prob.shape)
    known = known_pixels(labels, ignore_index)
    values = checked(fill_ignored(prob, known)).numpy()
    valid = True if known.all() else known.numpy()
    del known  # of a volume it is large
    mask = values > 0.5
    objects, number = find_objects(mask)

    # Few pixels of a volume are in its mask.
    inside = values[mask]
    owner = objects[mask]
    pixels = np.bincount(owner, minlength=number + 1)[1:]
    mass = np.bincount(owner, inside, number + 1)[1:]

    valid_inside = np.broadcast_to(valid, mask.shape)[mask]
    size = np.count_nonzero(valid_inside)
    mass_inside = inside.sum(where=valid_inside, dtype=np.float64)
    total = values.sum(where=valid, dtype=np.float64)
    expected = float(2 * mass_inside / (size + total)) if size else np.nan
    truth = MaskTruth.of(mask, labels.numpy(), objects, number, ignore_index)
    return MaskTable.of_image(truth, mass / pixels, expected, expected)


# Of sets that are alike at most so many are called different, or lose their bounds.
ALARM = 1e-3
DOUBT = 1e-2
# Divisions of both sets at random that the true one is compared with.
DRAWS = 1999
FOLDS = 5
# Weight of the squared slopes, of standardised features, of the classifier.
PENALTY = 3.0


class TooFewImages(ValueError):
    """An alarm could not ring, whatever the images were."""


@dataclass(frozen=True)
class SetComparison:
    """A set of new images beside the images of the fit.

    Attributes:
        images (tuple[int, int]): Number of images of the fit and of new ones.
        auc (float): How well a classifier tells a new image from one of the fit, cross-
            validated; 0.5 is not at all.
        p_value (float): Share of divisions at random that it tells as well.
        differs (bool): Whether the sets differ beyond chance.
        means (dict[str, tuple[float, float]]): Mean of each feature in the fit and in
            the new set, those that differ most come first.
        effective (float): How many images of the fit the weights leave.
        dice (float): Mean Dice to expect of the new images, corrected by the weighted
            errors of the fit; nan where no image has an expected Dice, or it is
            withheld.
    """

    images: tuple[int, int]
    auc: float
    p_value: float
    differs: bool
    means: dict[str, tuple[float, float]]
    effective: float
    dice: float

    @property
    def withheld(self) -> bool:
        """bool: Whether the sets differ too much for bounds and an expected Dice."""
        # An AUC of .6 takes a total variation of a tenth and more: so many images may
        # lie where the fit has none, as many as may lie below a bound anyway.
        return self.p_value <= DOUBT and (self.effective < 20 or self.auc >= 0.6)

    def __str__(self) -> str:
        """Say whether the sets differ, in what, and what that means."""
        fitted, new = self.images
        found = f'AUC {self.auc:.2f}, p {self.p_value:.2g}'
        if not (self.differs or self.withheld):
            return (
                f'No difference is seen between the {new} images and the {fitted} of '
                f'the fit ({found}).'
                f'{" So few may hide one." if min(fitted, new) < 50 else ""}'
            )

        most = [f'{name} {a:.3g} -> {b:.3g}' for name, (a, b) in self.means.items()]
        told = (
            'what is expected of masks, and all bounds, are withheld; objects keep the '
            'probability of those of the fit, which may be far too high'
            if self.withheld
            else f'bounds are weighted, and the mean Dice to expect is {self.dice:.3f}'
        )
        verb = 'differ' if self.differs else 'may differ (an alarm takes a p of .001)'
        return (
            f'The {new} images {verb} from the {fitted} of the fit ({found}): '
            f'{", ".join(most[:3])}. So {told}. Fit to images like these, in files of '
            'as many bits. If `apply` wrote these maps, review those of the network '
            'instead.'
        )


def compare_set(
    decisions: Decisions, estimates: Iterable[ImageEstimate]
) -> tuple[SetComparison, list[ImageEstimate]]:
    """Compare new images with those of the fit; if they differ, weight their bounds.

    A ridge regression tells new images from those of the fit by their domain features,
    cross-validated. The same is done for 1,999 divisions at random of all images, so
    that of sets which are alike at most one in a thousand is called different, whatever
    the features are (a permutation test). If they differ, an image of the fit counts as
    often as a logistic regression finds images like it among the new ones: p / (1 - p).
    Bounds are weighted quantiles then. They and the expected Dice are withheld where
    the effective sample is below 20 or the AUC 0.6 and more, and that from a p of .01
    on: an answer may be left out ten times as often as an alarm may ring for nothing.

    Raises:
        TooFewImages: An alarm could not ring; the message names the least number.
    """
    estimates = check_members('estimates', estimates, ImageEstimate)
    # In one order: a list and a folder of the same images give the same.
    new = np.array(sorted(estimate.features for estimate in estimates))
    new = new.reshape(-1, len(DOMAIN_FEATURES))
    inputs = np.concatenate([decisions.inputs, domain_inputs(new)])
    fitted = len(decisions.inputs)
    # What it takes to ring at all.
    least = next(n for n in count(FOLDS) if comb(max(fitted, 1) + n, n) * ALARM >= 10)
    if fitted < FOLDS or len(new) < least:
        raise TooFewImages(
            f'{len(new)} images beside {fitted} of the fit are too few to tell whether '
            f'they are alike: take {least} or, better, a hundred'
        )

    inputs = (inputs - inputs.mean(0)) / (inputs.std(0) + 1e-9)
    is_new = np.arange(len(inputs)) >= fitted
    auc, p_value = permutation_test(inputs, is_new)
    differs = p_value <= ALARM
    used = inputs[:, :WEIGHT_FEATURES]
    weights = _weights(used, is_new) if differs else np.ones(fitted)
    effective = float(weights.sum() ** 2 / (weights**2).sum())

    dice = np.array([estimate.dice for estimate in estimates])
    told = dice[~np.isnan(dice)]
    apart = np.abs(inputs[is_new].mean(0) - inputs[~is_new].mean(0))
    of_fit = np.mean(decisions.features, 0)
    comparison = SetComparison(
        images=(fitted, len(new)),
        auc=auc,
        p_value=p_value,
        differs=differs,
        means={
            DOMAIN_FEATURES[k]: (float(of_fit[k]), float(new[:, k].mean()))
            for k in np.argsort(-apart)
        },
        effective=effective,
        dice=float(told.mean() + decisions.bias(weights)) if len(told) else np.nan,
    )
    if comparison.withheld:
        return replace(comparison, dice=np.nan), [
            replace(
                each,
                dice=np.nan,
                dice_low=np.nan,
                iou=np.nan,
                iou_low=np.nan,
                accuracy=np.nan,
                accuracy_low=np.nan,
                area=np.nan,
                area_low=np.nan,
                area_high=np.nan,
            )
            for each in estimates
        ]
    if differs:
        return comparison, [with_bounds(decisions, own, weights) for own in estimates]
    return comparison, list(estimates)


def permutation_test(inputs: np.ndarray, is_new: np.ndarray) -> tuple[float, float]:
    """AUC of a cross-validated ridge regression, and its p among random divisions."""
    rng = np.random.default_rng(0)
    fold = rng.permutation(len(inputs)) % FOLDS
    targets = np.stack(
        [is_new, *(rng.permutation(is_new) for _ in range(DRAWS))], 1
    ).astype(float)
    scores = np.zeros_like(targets)
    for number in range(FOLDS):
        rest = fold != number
        mean = inputs[rest].mean(0)
        known = inputs[rest] - mean
        ridge = known.T @ known + PENALTY * np.eye(known.shape[1])
        slopes = np.linalg.solve(ridge, known.T @ targets[rest])
        scores[~rest] = ((inputs[~rest] - mean) @ slopes).round(12)

    news = is_new.sum()
    pairs = news * (len(inputs) - news)
    ranks = np.arange(1, len(inputs) + 1)
    # Equal scores have the mean of their ranks: that of both orders.
    of_new = sum(
        ranks
        @ np.take_along_axis(
            targets[::step], scores[::step].argsort(0, kind='stable'), 0
        )
        for step in (1, -1)
    )
    aucs = (of_new / 2 - news * (news + 1) / 2) / pairs
    return float(aucs[0]), float(1 + (aucs[1:] >= aucs[0]).sum()) / (DRAWS + 1)


def _weights(inputs: np.ndarray, is_new: np.ndarray) -> np.ndarray:
    """``(I,)`` weights of the images of the fit: odds that such an image is new."""
    from .fitting.regressions import fit_linear, logistic_losses

    intercept, *slopes = fit_linear(inputs, is_new, logistic_losses)
    score = intercept + inputs[~is_new] @ slopes
    balanced = score - np.log(is_new.sum() / (~is_new).sum())
    prob = np.clip(special.expit(balanced), 0.01, 0.99)  # no image is certain to be new
    return prob / (1 - prob)
