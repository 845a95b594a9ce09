"""A set of new images beside the images of the fit.

Where the sets differ, bounds are weighted or withheld, and no object has a probability.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from math import comb

import numpy as np
from scipy import special

from ..common.arguments import check_members, numbers_of
from ..metrics.chance import ALARM
from ..metrics.image_metrics import mean_of_known
from .decisions import Decisions
from .estimates import ImageEstimate, ObjectTable, with_bounds, without_bias
from .features import DOMAIN_FEATURES, WEIGHT_FEATURES, domain_inputs
from .regressions import FOLDS, fit_linear, logistic_losses

# Of sets that are alike at most so many lose their bounds; ALARM are called different.
DOUBT = 1e-2
# Divisions of both sets at random that the true one is compared with.
DRAWS = 1999
# Divisions at a time, so that many images take little memory.
DIVISIONS_AT_ONCE = 50
# Weight of the squared slopes, of standardised features, of the classifier.
RIDGE = 3.0
# Images of the fit that weights must leave for bounds to hold.
LEAST_EFFECTIVE = 20


class TooFewImages(ValueError):
    """No difference could be shown, whatever the images were."""


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
        effective (float): How many images, or groups, of the fit the weights leave.
        dice (float): Mean Dice to expect of the new images, corrected by the weighted
            errors of the fit; nan where no image has an expected Dice, or it is
            withheld.
        groups (tuple[int, int] | None): Number of groups of each set, which count then,
            and not images. None: no image is in a group with another one.
    """

    images: tuple[int, int]
    auc: float
    p_value: float
    differs: bool
    means: dict[str, tuple[float, float]]
    effective: float
    dice: float
    groups: tuple[int, int] | None = None

    @classmethod
    def of(
        cls,
        division: 'Division',
        weights: np.ndarray,
        decisions: Decisions,
        estimates: list[ImageEstimate],
    ) -> 'SetComparison':
        """Sum up a division by ``(I,)`` weights of the images of the fit."""
        # Sorted, so that the order of the images moves no digit.
        told = np.sort(without_bias(decisions, estimates, weights))
        dice = float(mean_of_known(told))

        of_fit = np.mean(decisions.features, 0)
        of_new = sorted_features(estimates)
        means = {}
        for column in np.argsort(-division.distances):
            pair = float(of_fit[column]), float(of_new[:, column].mean())
            means[DOMAIN_FEATURES[column]] = pair

        comparison = cls(
            images=(len(weights), len(estimates)),
            auc=division.auc,
            p_value=division.p_value,
            differs=division.differs,
            means=means,
            effective=division.effective(weights),
            dice=dice,
            groups=division.groups,
        )
        if comparison.withheld:
            return replace(comparison, dice=np.nan)
        return comparison

    @property
    def withheld(self) -> bool:
        """bool: Whether the sets differ too much for bounds and an expected Dice."""
        # An AUC of .6 takes a total variation of a tenth and more: so many images may
        # lie where the fit has none, as many as may lie below a bound anyway.
        unlike = self.effective < LEAST_EFFECTIVE or self.auc >= 0.6
        return self.p_value <= DOUBT and unlike

    @property
    def objects_withheld(self) -> bool:
        """bool: Whether no object of the set has a probability.

        So it is where the set differs, and where bounds are withheld. The probability
        of an object is learned from objects like it, and weights of whole images do not
        say how often those are real elsewhere.
        """
        return self.differs or self.withheld

    def objects(self, table: ObjectTable) -> ObjectTable:
        """Give the objects of an image of this set what holds of them.

        Where probabilities are withheld, ``mean`` stays.
        """
        if self.objects_withheld:
            return table.without_probabilities()
        return table

    def __str__(self) -> str:
        """Say whether the sets differ, in what, and what that means."""
        if self.objects_withheld:
            return self._difference() + self._hint()
        return self._no_difference() + self._hint()

    def _no_difference(self) -> str:
        """Say that the sets are alike, as far as so many images show it."""
        fitted, new = self._sizes()
        text = (
            f'No difference is seen between the {new} and the {fitted} of the fit '
            f'({self._figures()}).'
        )
        if min(self.groups or self.images) < 50:
            text += ' With so few images a difference may be missed.'
        return text

    def _difference(self) -> str:
        """Say in what the sets differ, what is left out therefore, and what to do."""
        if self.withheld:
            result = (
                'what is expected of masks, and all bounds, are withheld, and so is '
                'the probability of each object'
            )
        else:
            result = (
                f'bounds are weighted, the mean Dice to expect is {self.dice:.3f}, and '
                'the probability of each object is withheld'
            )

        largest = []
        for name, (of_fit, of_new) in self.means.items():
            largest.append(f'{name} {of_fit:.3g} -> {of_new:.3g}')
        fitted, new = self._sizes()
        verb = 'may differ (an alarm needs a p of .001)'
        if self.differs:
            verb = 'differ'
        return (
            f'The {new} {verb} from the {fitted} of the fit ({self._figures()}): '
            f'{", ".join(largest[:3])}. Therefore {result}. Fit to images like the '
            'new ones, stored with the same number of bits. If `apply` wrote these '
            "maps, review the network's own maps instead."
        )

    def _figures(self) -> str:
        """The figures that show a difference."""
        return f'AUC {self.auc:.2f}, p {self.p_value:.2g}'

    def _sizes(self) -> tuple[str, str]:
        """Say how many images both sets have, and of how many groups."""
        fitted = f'{self.images[0]} images'
        new = f'{self.images[1]} new images'
        if self.groups is not None:
            if self.groups[0] < self.images[0]:
                fitted += f' of {self.groups[0]} groups'
            if self.groups[1] < self.images[1]:
                new += f' of {self.groups[1]} groups'
        return fitted, new

    def _hint(self) -> str:
        """Say what to do where groups of one set alone are known; '' elsewhere."""
        if self.groups is None:
            return ''
        fit_is_grouped = self.groups[0] < self.images[0]
        new_is_grouped = self.groups[1] < self.images[1]
        if fit_is_grouped and new_is_grouped:
            return ''
        return (
            ' Only one of the two sets has groups, so one image of each group counts. '
            'If images of the other set belong together, name its groups too.'
        )


@dataclass(frozen=True)
class GroupedInputs:
    """The images of one set, and which of them belong together.

    Attributes:
        inputs (np.ndarray): ``(N, 17)`` see :func:`domain_inputs`.
        group (np.ndarray): ``(N,)`` number of the group of each, without gaps.
    """

    inputs: np.ndarray
    group: np.ndarray

    @property
    def num_groups(self) -> int:
        """int: Number of its groups."""
        return len(np.unique(self.group))

    @property
    def usual_size(self) -> int:
        """int: Median number of images of a group."""
        return int(np.median(np.bincount(self.group)))

    def at_most(self, number: int) -> np.ndarray:
        """``(N,)`` whether an image is one of so many of its group, at random."""
        order = np.random.default_rng(0).permutation(len(self.group))
        by_group = order[np.argsort(self.group[order], kind='stable')]
        sizes = np.bincount(self.group)
        place_in_group = np.arange(len(order)) - np.repeat(
            np.cumsum(sizes) - sizes, sizes
        )

        chosen = np.zeros(len(order), bool)
        chosen[by_group[place_in_group < number]] = True
        return chosen


def set_of_estimates(
    estimates: list[ImageEstimate], groups: Iterable[Hashable] | None
) -> GroupedInputs:
    """New images, in an order that neither images nor names of groups change.

    Raises:
        ValueError: There are not as many groups as images.
    """
    numbers = list(range(len(estimates)))
    if groups is not None:
        numbers = list(numbers_of(groups))
    if len(numbers) != len(estimates):
        raise ValueError(
            f'there are {len(numbers)} groups for {len(estimates)} images: give one '
            'for each'
        )

    rows_by_group: dict[int, list[tuple[float, ...]]] = {}
    for number, estimate in zip(numbers, estimates):
        rows_by_group.setdefault(number, []).append(tuple(estimate.features))
    features: list[tuple[float, ...]] = []
    group: list[int] = []
    for number, rows in enumerate(sorted(map(sorted, rows_by_group.values()))):
        features += rows
        group += [number] * len(rows)
    return GroupedInputs(domain_inputs(np.array(features)), np.array(group))


def compare_set(
    decisions: Decisions,
    estimates: Iterable[ImageEstimate],
    groups: Iterable[Hashable] | None = None,
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

    ``groups`` are the patient, video or place of each new image; the fit keeps those of
    its own. Whole groups are divided at random then, and form folds. Of each group as
    many images count as groups of the other set have, in the median of the set of
    smaller groups, so that groups of both sets are alike; without groups in one set
    that is one.

    Raises:
        TooFewImages: An alarm could not ring; the message names the least number.
        ValueError: There are not as many groups as images.
    """
    estimates = check_members('estimates', estimates, ImageEstimate)
    division = Division.of(decisions, estimates, groups)
    weights = np.ones(len(decisions.features))
    if division.differs:
        weights = division.weights()

    comparison = SetComparison.of(division, weights, decisions, estimates)
    if not comparison.objects_withheld:
        return comparison, estimates

    compared = []
    for estimate in estimates:
        if comparison.withheld:
            compared.append(estimate.without_answers())
        else:
            compared.append(with_bounds(decisions, estimate, weights))
    return comparison, compared


def sorted_features(estimates: Iterable[ImageEstimate]) -> np.ndarray:
    """``(N, 17)`` domain features: a list and a folder of images give them alike."""
    rows = sorted(estimate.features for estimate in estimates)
    return np.array(rows).reshape(-1, len(DOMAIN_FEATURES))


@dataclass(frozen=True)
class Division:
    """All images, of the fit first, and how well features tell which are new.

    Attributes:
        inputs (np.ndarray): ``(I + N, 17)`` standardised inputs of both sets.
        is_new (np.ndarray): ``(I + N,)`` whether an image is a new one.
        group (np.ndarray): ``(I + N,)`` number of the group of each.
        auc (float): See :class:`SetComparison`; also ``p_value``.
    """

    inputs: np.ndarray
    is_new: np.ndarray
    group: np.ndarray
    auc: float
    p_value: float

    @classmethod
    def of(
        cls,
        decisions: Decisions,
        estimates: list[ImageEstimate],
        groups: Iterable[Hashable] | None = None,
    ) -> 'Division':
        """Divide images of the fit and new ones; TooFewImages if that tells nothing."""
        fit = GroupedInputs(decisions.inputs, decisions.group_of_image)
        new = set_of_estimates(estimates, groups)
        check_enough(fit, new)

        inputs = np.concatenate([fit.inputs, new.inputs])
        inputs = (inputs - inputs.mean(0)) / (inputs.std(0) + 1e-9)
        is_new = np.arange(len(inputs)) >= len(fit.inputs)
        group = np.concatenate([fit.group, fit.num_groups + new.group])

        most = min(fit.usual_size, new.usual_size)
        counts = np.concatenate([fit.at_most(most), new.at_most(most)])
        auc, p_value = permutation_test(inputs[counts], is_new[counts], group[counts])
        return cls(inputs, is_new, group, auc, p_value)

    @property
    def groups(self) -> tuple[int, int] | None:
        """tuple[int, int] | None: See :class:`SetComparison`."""
        fitted = len(np.unique(self.group[~self.is_new]))
        new = len(np.unique(self.group[self.is_new]))
        if fitted + new == len(self.group):
            return None
        return fitted, new

    def effective(self, weights: np.ndarray) -> float:
        """How many groups of the fit ``(I,)`` weights leave, by Kish's formula."""
        group = self.group[~self.is_new]
        mean = np.bincount(group, weights) / np.bincount(group)
        return float(mean.sum() ** 2 / (mean**2).sum())

    @property
    def differs(self) -> bool:
        """bool: Whether the sets differ beyond chance."""
        return self.p_value <= ALARM

    @property
    def distances(self) -> np.ndarray:
        """``(17,)`` how far the means of the sets are apart, in standard deviations."""
        of_new = self.inputs[self.is_new].mean(0)
        return np.abs(of_new - self.inputs[~self.is_new].mean(0))

    def weights(self) -> np.ndarray:
        """``(I,)`` weights of the images of the fit: odds that such an image is new."""
        inputs = np.take(self.inputs, WEIGHT_FEATURES, 1)
        intercept, *slopes = fit_linear(inputs, self.is_new, logistic_losses)
        score = intercept + inputs[~self.is_new] @ slopes
        balanced = score - np.log(self.is_new.sum() / (~self.is_new).sum())
        # No image is certain to be new.
        prob = np.clip(special.expit(balanced), 0.01, 0.99)
        return prob / (1 - prob)


def check_enough(fit: GroupedInputs, of_new: GroupedInputs) -> None:
    """Refuse so few images, or groups, of both sets that no alarm could ring."""
    fitted = fit.num_groups
    new = of_new.num_groups
    name = 'images'
    if fitted + new < len(fit.group) + len(of_new.group):
        name = 'groups'
    least = FOLDS
    while comb(max(fitted, 1) + least, least) * ALARM < 10:
        least += 1
    if fitted < FOLDS or new < least:
        raise TooFewImages(
            f'{new} new {name} are too few to compare with the {fitted} of the fit: '
            f'give at least {least}, better a hundred'
        )


def permutation_test(
    inputs: np.ndarray, is_new: np.ndarray, group: np.ndarray | None = None
) -> tuple[float, float]:
    """AUC of a cross-validated ridge regression, and its p among random divisions.

    Groups are divided, numbered without gaps; None: each image is on its own.
    """
    if group is None:
        group = np.arange(len(inputs))
    rng = np.random.default_rng(0)
    is_new_group = np.zeros(group.max() + 1, bool)
    is_new_group[group[is_new]] = True
    fold = (rng.permutation(len(is_new_group)) % FOLDS)[group]

    aucs: list[float] = []
    for first in range(0, DRAWS + 1, DIVISIONS_AT_ONCE):
        divisions = np.empty(
            (min(DIVISIONS_AT_ONCE, DRAWS + 1 - first), len(group)), bool
        )
        for row in range(len(divisions)):
            if first + row == 0:  # the true division comes first
                divisions[row] = is_new
            else:
                divisions[row] = rng.permutation(is_new_group)[group]
        scores = _scores(inputs, fold, divisions.T.astype(float))
        for row, division in enumerate(divisions):
            aucs.append(_auc(scores[:, row], division))

    auc = aucs[0]
    as_well = int((np.array(aucs[1:]) >= auc).sum())
    return auc, (1 + as_well) / (DRAWS + 1)


def _scores(inputs: np.ndarray, fold: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """``(N, D)`` scores of images for each of D divisions, by the other folds.

    Scores are rounded, so that images which are alike tie on any processor.
    """
    scores = np.zeros_like(targets)
    for number in range(FOLDS):
        rest = fold != number
        mean = inputs[rest].mean(0)
        centred = inputs[rest] - mean
        ridge = centred.T @ centred + RIDGE * np.eye(centred.shape[1])
        slopes = np.linalg.solve(ridge, centred.T @ targets[rest])
        scores[~rest] = ((inputs[~rest] - mean) @ slopes).round(12)
    return scores


def _auc(scores: np.ndarray, is_new: np.ndarray) -> float:
    """How often a new image has the larger score; a tie is half."""
    of_fit = np.sort(scores[~is_new])
    of_new = np.sort(scores[is_new])  # numpy searches sorted values faster
    below = np.searchsorted(of_fit, of_new, 'left').sum()
    below_or_equal = np.searchsorted(of_fit, of_new, 'right').sum()
    pairs = len(of_fit) * len(of_new)
    return float((below + below_or_equal) / 2 / pairs)
