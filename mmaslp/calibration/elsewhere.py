"""Whether a set of new images is like the images of the fit, and what holds if not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from scipy.special import expit

from .decisions import Decisions
from .estimates import ImageEstimate, with_bounds, without_bounds
from .features import DOMAIN_FEATURES, domain_inputs

# Of sets that are alike at most so many are called different.
ALARM = 1e-3
# Divisions of both sets at random that the true one is compared with.
DRAWS = 1999
FOLDS = 5
# Weight of the squared slopes, of standardised features, of the classifier.
PENALTY = 3.0
# Weights of images stay so far from those of certainty.
CLIP = 0.01
# Fewer images of the fit that are like the new ones give no bound; nor do sets that a
# classifier tells apart so well. On halves of validation maps with changed logits the
# weighted bounds of such sets held for .46 to 1 of the images, those of others for .82
# and more.
LEAST_EFFECTIVE = 20
MOST_AUC = 0.7


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
            errors of the fit; nan where no image has an expected Dice.
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
        """bool: Whether the sets differ too much for bounds."""
        few = self.effective < LEAST_EFFECTIVE
        return self.differs and (few or self.auc >= MOST_AUC)

    def __str__(self) -> str:
        """Say whether the sets differ, in what, and what that means."""
        fitted, new = self.images
        found = f'AUC {self.auc:.2f}, p {self.p_value:.2g}'
        if not self.differs:
            return f'The {new} images are like the {fitted} of the fit ({found}).'
        most = [f'{name} {a:.3g} -> {b:.3g}' for name, (a, b) in self.means.items()]
        bounds = 'bounds are withheld' if self.withheld else 'bounds are weighted'
        return (
            f'The {new} images differ from the {fitted} of the fit ({found}): '
            f'{", ".join(most[:3])}. So {bounds}, and the mean Dice to expect is '
            f'{self.dice:.3f}. Fit to images like these; of calibrated maps give those '
            'of the network.'
        )


def least_images(fitted: int) -> int:
    """How many new images it takes to ring at all, beside those of the fit."""
    number = FOLDS
    while comb(fitted + number, number) * ALARM < 2:
        number += 1
    return number


def compare_set(
    decisions: Decisions, estimates: Sequence[ImageEstimate]
) -> tuple[SetComparison, list[ImageEstimate]]:
    """Compare new images with those of the fit; if they differ, weight their bounds.

    A ridge regression tells new images from those of the fit by their domain features,
    cross-validated. The same is done for 1,999 divisions at random of all images, so
    that of sets which are alike at most one in a thousand is called different, whatever
    the features are (a permutation test). If they differ, an image of the fit counts as
    often as a logistic regression finds images like it among the new ones: p / (1 - p).
    Bounds are weighted quantiles then, and withheld where the effective sample is below
    20 or the AUC of the classifier 0.7 and more.

    Raises:
        TooFewImages: An alarm could not ring; the message names the least number.
    """
    new = np.array([estimate.features for estimate in estimates])
    new = new.reshape(-1, len(DOMAIN_FEATURES))
    inputs = np.concatenate([decisions.inputs, domain_inputs(new)])
    fitted = len(decisions.inputs)
    least = least_images(fitted)
    if fitted < FOLDS or len(new) < least:
        raise TooFewImages(
            f'{len(new)} images beside {fitted} of the fit are too few to tell whether '
            f'they are alike: take {least} or, better, a hundred'
        )

    inputs = (inputs - inputs.mean(0)) / (inputs.std(0) + 1e-9)
    is_new = np.arange(len(inputs)) >= fitted
    auc, p_value = _permutation_test(inputs, is_new)
    differs = p_value <= ALARM
    weights = _weights(inputs, is_new) if differs else np.ones(fitted)
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
        return comparison, [without_bounds(estimate) for estimate in estimates]
    if differs:
        weighted = [with_bounds(decisions, own, weights) for own in estimates]
        return comparison, weighted
    return comparison, list(estimates)


def _permutation_test(inputs: np.ndarray, is_new: np.ndarray) -> tuple[float, float]:
    """AUC of a cross-validated ridge regression, and its p among random divisions."""
    rng = np.random.default_rng(0)
    fold = rng.permutation(len(inputs)) % FOLDS
    divisions = [is_new, *(rng.permutation(is_new) for _ in range(DRAWS))]
    targets = np.stack(divisions, 1).astype(float)
    scores = np.zeros_like(targets)
    for number in range(FOLDS):
        rest = fold != number
        mean = inputs[rest].mean(0)
        known = inputs[rest] - mean
        ridge = known.T @ known + PENALTY * np.eye(known.shape[1])
        slopes = np.linalg.solve(ridge, known.T @ targets[rest])
        scores[~rest] = (inputs[~rest] - mean) @ slopes

    ranks = scores.argsort(0).argsort(0) + 1
    news = is_new.sum()
    pairs = news * (len(inputs) - news)
    aucs = ((ranks * targets).sum(0) - news * (news + 1) / 2) / pairs
    p_value = (1 + (aucs[1:] >= aucs[0]).sum()) / (DRAWS + 1)
    return float(aucs[0]), float(p_value)


def _weights(inputs: np.ndarray, is_new: np.ndarray) -> np.ndarray:
    """``(I,)`` weights of the images of the fit: odds that such an image is new."""
    from .fitting.regressions import fit_linear, logistic_losses

    intercept, *slopes = fit_linear(inputs, is_new, logistic_losses)
    score = intercept + inputs[~is_new] @ slopes
    balanced = score - np.log(is_new.sum() / (~is_new).sum())
    prob = np.clip(expit(balanced), CLIP, 1 - CLIP)
    return prob / (1 - prob)
