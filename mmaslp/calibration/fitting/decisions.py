"""Learning which masks to trust, out of fold.

Small predictions of a few features of the object, or of the image, are chosen out of
fold: for objects and the order the simplest that is no worse, for the Dice and the
area the one of the least error.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...common.bands import NUM_BANDS
from ...metrics.image_metrics import aurc
from ...metrics.objects import is_real
from ..decisions import (
    IMAGE_PREDICTORS,
    OBJECT_PREDICTORS,
    Decisions,
    Predictor,
    unit_of_dice,
    weighted_quantile,
)
from ..features import (
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
from .methods import FOLDS, OutOfFold, fit_maps, simplest
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
# Least probabilities of an object that a table is made for.
CUTS = (0.0, *np.linspace(0.05, 0.95, 19).round(2).tolist())


def fit_decisions(
    counts: Sequence[ImageCounts], negative_crops: Sequence[ImageCounts] = ()
) -> Decisions:
    """Learn from validation images; :class:`Decisions` says what cannot be told.

    ``negative_crops`` are crops without an object, which tell about empty masks. Groups
    go to five folds, as those of calibrators. Features of a fold come of a calibrator
    that was fitted to the others.
    """
    images = sorted(counts, key=lambda image: (image.group, image.counts.tobytes()))
    groups = np.unique([image.group for image in images], return_inverse=True)[1]
    folds = groups % FOLDS
    probs = _probabilities_without(images, folds)
    pairs = [(image, probs[fold]) for image, fold in zip(images, folds)]
    record: dict[str, Any] = {}
    objects, cuts = _fit_objects(pairs, groups, folds, record)
    of_images = _fit_images(pairs, groups, folds, record)
    of_area = _fit_area(pairs, record)
    record['masks'] = _dice_of_masks(pairs)

    if negative_crops:
        found = [crop for crop in negative_crops if crop.in_mask.any()]
        record['negative_crops'] = {'number': len(negative_crops), 'found': len(found)}
    empty = [each for each in (*images, *negative_crops) if not each.in_mask.any()]
    nothing = sum(not image.counts[:, 1].any() for image in empty)
    columns = dict(
        features=[domain_features(image) for image in images],
        expected=of_images.pop('expected'),
        dice=[true_dice(image) if image.in_mask.any() else None for image in images],
        area_errors=of_area.pop('area_errors'),
        accuracy_errors=[
            true_accuracy(image) - accuracy_of(image, prob, valid=True)
            for image, prob in pairs
        ],
    )
    # A thousand images of the fit are kept.
    kept = np.unique(np.linspace(0, len(images) - 1, 1000).astype(int))
    rows: dict[str, Any] = {
        name: [five_digits(column[k]) for k in kept] for name, column in columns.items()
    }
    return Decisions(
        objects,
        **of_images,
        **of_area,
        **rows,
        empty=[len(empty), nothing],
        cuts=cuts,
        record=record,
    )


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


Pairs = Sequence[tuple[ImageCounts, np.ndarray]]


def _predict_out_of_fold(
    fit: Any, inputs: np.ndarray, target: np.ndarray, folds: np.ndarray
) -> np.ndarray:
    """Predictions for each fold by what ``fit`` makes of the others."""
    values = np.zeros(len(inputs))
    for fold in np.unique(folds):
        rest = folds != fold
        values[~rest] = fit(inputs[rest], target[rest])(inputs[~rest])
    return values


def _fit_objects(
    pairs: Pairs, groups: np.ndarray, folds: np.ndarray, record: dict[str, Any]
) -> tuple[Predictor | None, list[list[float]]]:
    """The probability that an object is real, and what cuts of it cost."""
    inputs = np.concatenate([object_features(*pair) for pair in pairs])
    labels = np.concatenate([image.labels_of_objects() for image, _ in pairs])
    known = labels.sum(1) > 0
    real = is_real(labels[:, 1], labels.sum(1))
    number = int(known.sum())
    record['objects'] = {'number': number, 'real': int(real[known].sum())}
    owner = np.repeat(np.arange(len(pairs)), [image.num_objects for image, _ in pairs])
    if not _can_be_told(real[known], folds[owner][known]):
        return None, []

    few = number < LEAST_OBJECTS
    ways: dict[str, Any] = {
        name: lambda *data, name=name: fit_object_predictor(name, *data)
        for name in (('uncalibrated', 'drawn') if few else OBJECT_PREDICTORS)
    }
    used = (inputs[known], real[known], folds[owner][known])
    expected = {name: _predict_out_of_fold(fit, *used) for name, fit in ways.items()}
    measured = {}
    for name, values in expected.items():
        prob = np.clip(values, 1e-6, 1 - 1e-6)
        nll = -np.log(np.where(real[known], prob, 1 - prob))
        measured[name] = OutOfFold.of_losses(
            np.stack([nll, (prob - real[known]) ** 2], 1), groups[owner][known]
        )

    chosen = 'drawn' if few else simplest(measured)
    record['objects'] |= {
        'chosen': chosen,
        'nll': {name: float(own.metrics[0]) for name, own in measured.items()},
    }
    prob = np.ones(len(known))
    prob[known] = expected[chosen]
    cuts = _costs(pairs, owner, labels, prob, real & known)
    return ways[chosen](inputs[known], real[known]), cuts


def _can_be_told(real: np.ndarray, folds: np.ndarray) -> bool:
    """Whether ``(O,)`` objects are enough, and any four folds hold both kinds."""
    for of_kind in (real, ~real):
        if of_kind.sum() < LEAST_OF_A_KIND or len(np.unique(folds[of_kind])) < 2:
            return False
    return True


def _costs(
    pairs: Pairs,
    owner: np.ndarray,
    labels: np.ndarray,
    prob: np.ndarray,
    real: np.ndarray,
) -> list[list[float]]:
    """What leaving out objects below each of CUTS does, see ``Decisions.cuts``."""
    images = [image for image, _ in pairs]
    mask = np.array([image.counts[image.in_mask][:, :2].sum(0) for image in images])
    foreground = np.array([image.counts[:, 1].sum() for image in images])
    rows = []
    for cut in CUTS:
        gone = prob < cut
        left = mask.astype(float)
        np.subtract.at(left, owner[gone], labels[gone])
        size = left.sum(1) + foreground
        dice = np.where(size > 0, 2 * left[:, 1] / np.maximum(size, 1), 1.0)
        false = (~real & ~gone).sum() / len(pairs)
        rows.append([cut, 1 - (real & gone).sum() / real.sum(), false, dice.mean()])
    return five_digits(rows)


def _fit_images(
    pairs: Pairs, groups: np.ndarray, folds: np.ndarray, record: dict[str, Any]
) -> dict[str, Any]:
    """Fields of :class:`Decisions` about images with a mask."""
    rows = np.array([k for k, (image, _) in enumerate(pairs) if image.in_mask.any()])
    record['images'] = {'number': len(pairs), 'with_mask': len(rows)}
    told = np.full(len(pairs), np.nan)
    folds = folds[rows] if len(rows) else rows
    if len(rows) < LEAST_IMAGES or len(np.unique(folds)) < 2:
        return {'expected': told}

    inputs = np.stack([image_features(*pairs[row]) for row in rows])
    dice = np.array([true_dice(pairs[row][0]) for row in rows])
    ways = {
        name: lambda *data, name=name: fit_image_predictor(name, *data)
        for name in IMAGE_PREDICTORS
    }
    expected = {
        name: _predict_out_of_fold(fit, inputs, dice, folds)
        for name, fit in ways.items()
    }
    errors = {name: float(np.abs(own - dice).mean()) for name, own in expected.items()}
    chosen = min(errors, key=errors.__getitem__)
    risks = {
        name: _risk_of_order(own, 1 - dice, groups[rows])
        for name, own in expected.items()
    }
    score = simplest(risks)
    # Of few images the surest third: ten may be all.
    surest = np.argsort(-expected[score], kind='stable')[: min(10, -(-len(rows) // 3))]
    below = float(np.sort((expected[chosen] - dice)[surest])[-2])
    record['images'] |= {
        'chosen': chosen,
        'score': score,
        'error': errors,
        'below': below,
        'aurc': {name: float(own.metrics[0]) for name, own in risks.items()},
    }
    told[rows] = expected[chosen]

    present = np.array([pairs[row][0].counts[:, 1].any() for row in rows])
    return {
        'image': ways[chosen](inputs, dice) if below <= MOST_BELOW else None,
        'score': ways[score](inputs, dice),
        'present': _fit_present(inputs, present),
        'relative': _is_relative(expected[chosen], dice),
        'expected': told,
    }


def _fit_present(inputs: np.ndarray, present: np.ndarray) -> Predictor | None:
    """Probability that an image with a mask holds anything, or None."""
    if min(present.sum(), (~present).sum()) < LEAST_OF_A_KIND:
        return None
    return fit_presence(inputs, present)


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


def _fit_area(pairs: Pairs, record: dict[str, Any]) -> dict[str, Any]:
    """Fields of :class:`Decisions` about the expected area.

    The probabilities are those of the least error. The unit is the one whose interval
    of 90 % is narrowest in the mean of logs: what the errors grow with.
    """
    ways = {
        'calibrated': pairs,
        'uncalibrated': [(image, UNCALIBRATED) for image, _ in pairs],
    }
    true = np.array([image.counts[:, 1].sum() for image, _ in pairs])
    apart = {
        way: true - [area_of(*pair, 'area', True) for pair in given]
        for way, given in ways.items()
    }
    errors = {way: float(np.abs(own).mean()) for way, own in apart.items()}
    chosen = min(errors, key=errors.__getitem__)
    record['area'] = {'chosen': chosen, 'error': errors}

    tail = max(0.05, 1 / (len(pairs) + 1))  # that so many images can tell
    in_unit = {}
    widths = {}
    for unit in UNITS:
        scale = np.array([area_of(*pair, unit, True) for pair in ways[chosen]])
        scale = scale.clip(1e-3)
        in_unit[unit] = apart[chosen] / scale
        ends = [weighted_quantile(in_unit[unit], end) for end in (tail, 1 - tail)]
        widths[unit] = np.log(scale).mean() + np.log(max(ends[1] - ends[0], 1e-9))
    unit = min(widths, key=widths.__getitem__)
    return {
        'area_from': chosen,
        'area_unit': unit,
        'area_errors': in_unit[unit].tolist(),
    }


def _dice_of_masks(pairs: Pairs) -> dict[str, float]:
    """Mean Dice of each way to cut a mask, calibrated out of fold."""
    rows = []
    for image, prob in pairs:
        own = prob[image.codes]
        best = dice_threshold(torch.from_numpy(own), torch.from_numpy(image.pixels))
        masks = (image.in_mask, own > 0.5, own > best)
        rows.append([true_dice(image, mask) for mask in masks])
    return dict(zip(MASKS, np.mean(rows, 0).tolist()))
