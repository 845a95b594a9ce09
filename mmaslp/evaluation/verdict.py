"""What a comparison says: which is better, by how much, is it chance, what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan

from ..common.options import FEW_CASES, LEAST_CASES
from ..metrics.bootstrap import Difference
from ..metrics.catalogue import metric_of
from .comparison import Comparison, Measured, baselines, compare
from .result import Result

# The verdict names the largest relative change of these.
CALIBRATION = ('ece', 'ece_band', 'nll')
# A change of these to the other side is named too.
MASKS = ('acc', 'dice')
# A smaller distance between confidence and accuracy takes no remedy.
LEAST_EXCESS = 0.01


def verdict(comparison: Comparison, with_directions: bool = True) -> str:
    """Say which of two models is better calibrated, whether by chance, what to do.

    It names the largest relative change of :data:`CALIBRATION` beyond chance (see
    :mod:`~mmaslp.metrics.chance`), what else changed to the other side, and whether
    each model is too sure or not sure enough. With fewer images, or groups of them,
    than the test takes it says so, and how many it takes.

    ``with_directions``: whether to say in which direction each errs, and what follows.
    """
    first, second = _names(comparison)
    changes = _Changes.of(comparison)
    if changes.largest() is None:
        text = f'There are too few images to compare {second} with {first}'
        return f'{text}{_needed(comparison)}.'

    warning = _warning(comparison)
    if not changes.is_any_shown:
        return f'{warning}{second} and {first} are equal in pixels and masks.'
    if comparison.needed:
        return f'{warning}{_too_few(comparison, changes)}'

    if changes.largest(changes.certain) is None:
        text = _cannot_be_told_apart(comparison, changes)
    else:
        text = _more_than_chance(comparison, changes)
    directions = ''
    if with_directions:
        directions = _directions(_errors(comparison))
    return warning + _joined([text, directions, _advice(comparison, changes)])


def _joined(sentences: Sequence[str]) -> str:
    """Sentences behind each other, without those that say nothing."""
    return ' '.join(sentence for sentence in sentences if sentence)


@dataclass(frozen=True)
class _Changes:
    """What a verdict speaks of.

    Attributes:
        by_key (dict[str, Difference]): Of calibration and masks, with an interval.
        certain (list[str]): Of these what differs beyond chance.
    """

    by_key: dict[str, Difference]
    certain: list[str]

    @classmethod
    def of(cls, comparison: Comparison) -> '_Changes':
        """Take them from a comparison."""
        by_key = {}
        certain = []
        for key in (*CALIBRATION, *MASKS):
            change = comparison.metrics.get(key)
            if change is not None and not isnan(change.low):
                by_key[key] = change
                if change.differs and _is_shown(change):
                    certain.append(key)
        return cls(by_key, certain)

    @property
    def gains(self) -> list[str]:
        """list[str]: What is better beyond chance."""
        return [key for key in self.certain if is_better(key, self.by_key[key])]

    @property
    def losses(self) -> list[str]:
        """list[str]: What is worse beyond chance."""
        return [key for key in self.certain if not is_better(key, self.by_key[key])]

    @property
    def is_any_shown(self) -> bool:
        """bool: Whether anything differs in the digits that are shown."""
        return any(_is_shown(change) for change in self.by_key.values())

    def largest(self, among: Sequence[str] = CALIBRATION) -> str | None:
        """Metric of the largest relative change in calibration; None of none."""
        keys = [key for key in CALIBRATION if key in among and key in self.by_key]
        return max(keys, key=self._relative, default=None)

    def _relative(self, key: str) -> float:
        """Size of a change in [0, 1], the same both ways."""
        change = self.by_key[key]
        largest = max(abs(change.first), abs(change.second), 1e-12)
        return abs(change.difference) / largest


def _is_shown(change: Difference) -> bool:
    """Whether a change is seen; what is smaller may come of the format of the maps."""
    return round(change.difference, 4) != 0


def _needed(comparison: Comparison) -> str:
    """Say how many units there are, and how many a test takes."""
    if not comparison.needed:
        return ''
    name = comparison.units.name
    return f': {comparison.units.text}, and a test takes {comparison.needed} {name}'


def _too_few(comparison: Comparison, changes: _Changes) -> str:
    first, second = _names(comparison)
    largest = _largest_text(changes)
    return (
        f'There are too few {comparison.units.name} to tell {second} from {first}'
        f'{_needed(comparison)}. The largest change, {largest}, may be chance. Measure '
        f'more {comparison.units.name}.'
    )


def _cannot_be_told_apart(comparison: Comparison, changes: _Changes) -> str:
    first, second = _names(comparison)
    largest = _largest_text(changes, with_interval=True)
    text = (
        f'The calibration of {second} and {first} cannot be told apart: the largest '
        f'change, {largest}, may be chance.'
    )
    if changes.certain:
        text += f' But the masks differ: {_values(changes.certain, changes)}.'
    return text


def _more_than_chance(comparison: Comparison, changes: _Changes) -> str:
    first, second = _names(comparison)
    if comparison.of_calibrator:
        first = 'without it'
    largest = changes.largest(changes.certain)
    side, opposite, against = 'worse', 'better', changes.gains
    if largest in changes.gains:
        side, opposite, against = 'better', 'worse', changes.losses
    if set(against) & set(MASKS):
        side = f'{side} calibrated'

    shown = _largest_text(changes, changes.certain, with_interval=True)
    text = (
        f'{second} is {side} than {first}: {shown}, which is more than chance explains.'
    )
    if against:
        text += f' But it is {opposite} in {_values(against, changes)}.'
    return text


def overall_verdict(members: Sequence[Measured]) -> str:
    """Say which model of a set is best, and compare what :func:`headline` names.

    Of one model alone it says how sure and how right it is; of several in which
    direction each errs, and what follows from that.
    """
    if len(members) == 1:
        result = members[0].result
        text = describe(result)
        number = result.images.num_groups
        # No calibrator helps a network that finds nothing.
        finds_something = result.metrics.get('dice') != 0
        if not result.is_calibrated and finds_something and number >= LEAST_CASES:
            text += ' Fit a calibrator to validation images, and compare (mmaslp fit).'
        if number < FEW_CASES:
            text += (
                f' {number} images or groups are few: with others these figures may '
                'be different.'
            )
        return text

    shown = headline(members)
    if len(shown) == 1:
        return describe(members[0].result)
    comparison = compare(shown[0], shown[1])
    if len(members) == 2:
        return verdict(comparison)
    return _joined(
        [
            best_of_all(members),
            _directions([_error_of(member) for member in members]),
            verdict(comparison, with_directions=False),
        ]
    )


def _by_nll(members: Sequence[Measured]) -> list[Measured]:
    """Models with a NLL, the smallest first."""
    measured = [row for row in members if not isnan(row.result.metrics['nll'])]
    return sorted(measured, key=lambda row: row.result.metrics['nll'])


def best_of_all(members: Sequence[Measured]) -> str:
    """Say which model has the smallest NLL, and whether the next may be as good."""
    ordered = _by_nll(members)
    if len(ordered) < 2:
        return ''
    best, following = ordered[:2]
    change = compare(following, best).metrics['nll']

    text = (
        f'Best of all {len(members)} is {best.result.model}: it has the smallest NLL, '
        f'{change.second:.4f}. The next, {following.result.model}, has '
        f'{change.first:.4f}'
    )
    if change.differs:
        return f'{text}, which is more than chance explains.'
    return f'{text}, which may be chance.'


def headline(members: Sequence[Measured]) -> list[Measured]:
    """The best model of a set, after what it is compared with, like with like.

    The best has the smallest NLL, a proper score, of all but the first; if there is
    none, it is the first alone.
    """
    others = _by_nll(members[1:])
    if not others:
        return [members[0]]
    best = others[0]
    compared_with = baselines(best, members)
    if not compared_with:
        return [members[0], best]
    return [compared_with[0], best]


def describe(result: Result) -> str:
    """Say how sure and how right a network is, on all pixels and at the border."""
    confidence = result.metrics['conf']
    accuracy = result.metrics['acc']
    if isnan(accuracy):
        return f'{result.model}: there is no pixel to measure.'
    if result.is_positive:
        return (
            f'{result.model}: the mean probability is {confidence:.1%}, and '
            f'{accuracy:.1%} of the pixels are foreground.'
        )
    text = f'{result.model}: {_sure_and_right(confidence, accuracy)}'
    bands = result.bands.get('predicted')
    if bands is not None and bands.count[0]:
        text += (
            '; at the border of its masks '
            f'{_sure_and_right(bands.mean_conf[0], bands.accuracy[0])}'
        )

    return f'{text}{_hints(result, confidence, accuracy)}.'


def _hints(result: Result, confidence: float, accuracy: float) -> str:
    """Say what looks like a mistake in the maps, or a network that learnt nothing."""
    foreground = result.positive.get('acc', nan)
    hints = ''
    if accuracy <= max(foreground, 1 - foreground) < 1:
        hints += (
            '. That is no more accurate than without a network: train on, or see that '
            'foreground is 1 in maps and masks, and that maps have one sigmoid and the '
            'right scale'
        )
    if result.metrics.get('dice') == 0:
        hints += '. It finds no object'
    if confidence == 1:
        hints += (
            '. All probabilities are 0 or 1, as of masks: give the maps before the '
            'cut, and the folder of masks last'
        )
    if foreground == 1:
        hints += '. All masks are full'
    if foreground == 0:
        hints += '. All masks are empty'
    return hints


def _sure_and_right(confidence: float, accuracy: float) -> str:
    text = f'{confidence:.1%} sure, {accuracy:.1%} right'
    points = round(round(100 * confidence, 1) - round(100 * accuracy, 1), 1)
    if points > 0:
        return f'{text} (too sure by {points} points)'
    if points < 0:
        return f'{text} (not sure enough by {-points} points)'
    return text


def is_better(key: str, change: Difference) -> bool:
    """Whether the second model of a difference is the better one."""
    return (change.difference < 0) == (metric_of(key).better == 'lower')


def _names(comparison: Comparison) -> tuple[str, str]:
    if comparison.of_calibrator:
        network = comparison.second
        return f'{network} without it', f'{network} with its calibrator'
    return comparison.titles


def _values(keys: Sequence[str], changes: _Changes) -> str:
    texts = []
    for key in keys:
        change = changes.by_key[key]
        label = metric_of(key).label
        texts.append(f'{label} {change.second:.4f} instead of {change.first:.4f}')
    return _and(texts)


def _largest_text(
    changes: _Changes,
    among: Sequence[str] = CALIBRATION,
    with_interval: bool = False,
) -> str:
    """Both values of the largest change of some, and its interval."""
    key = changes.largest(among)
    assert key is not None  # models that are compared share a metric
    text = _values([key], changes)
    if with_interval:
        change = changes.by_key[key]
        text += f' (difference {change.low:+.4f} to {change.high:+.4f})'
    return text


@dataclass(frozen=True)
class _Error:
    """In which direction a model errs.

    Attributes:
        model (str): Its name.
        is_calibrated (bool): Whether its probabilities are.
        confidence (float): Mean of all pixels; also ``accuracy``. nan where unknown.
    """

    model: str
    is_calibrated: bool
    confidence: float
    accuracy: float

    @property
    def excess(self) -> float:
        """float: Above 0 of a model that is too sure."""
        return self.confidence - self.accuracy


def _error_of(member: Measured) -> _Error:
    result = member.result
    accuracy = result.metrics['acc']
    if result.is_positive:
        accuracy = nan  # that is the share of foreground
    confidence = result.metrics['conf']
    return _Error(result.model, result.is_calibrated, confidence, accuracy)


def _errors(comparison: Comparison) -> list[_Error]:
    """The errors of both models; none where one was not measured."""
    confidence = comparison.metrics.get('conf')
    accuracy = comparison.metrics.get('acc')
    if confidence is None or accuracy is None:
        return []
    first, second = comparison.titles
    one, other = comparison.calibrated
    return [
        _Error(first, one, confidence.first, accuracy.first),
        _Error(second, other, confidence.second, accuracy.second),
    ]


def _directions(errors: Sequence[_Error]) -> str:
    """Say how sure and how right each model is, and what follows for the networks."""
    sentences: list[str] = []
    too_sure: list[str] = []
    not_sure: list[str] = []
    is_calibrated = False
    for error in errors:
        if isnan(error.excess):
            continue
        sure = _sure_and_right(error.confidence, error.accuracy)
        sentences.append(f'{error.model}: {sure}.')
        if error.is_calibrated:
            is_calibrated = True
        elif error.excess > LEAST_EXCESS:
            too_sure.append(error.model)
        elif error.excess < -LEAST_EXCESS:
            not_sure.append(error.model)

    models = len(sentences)
    if too_sure:
        words = f'{_all_of(too_sure, models)} too sure'
        training = 'training with levels (or larger ones)'
        sentences.append(_remedy(words, training, is_calibrated))
    if not_sure:
        words = f'{_all_of(not_sure, models)} not sure enough'
        training = 'training with less smoothing (smaller levels)'
        condition = ', if there was any'
        sentences.append(_remedy(words, training, is_calibrated, condition))
    return _joined(sentences)


def _remedy(words: str, training: str, is_calibrated: bool, condition: str = '') -> str:
    """Say what helps networks; a calibrator that is there needs no advice."""
    if is_calibrated:
        return f'{words} without a calibrator: {training} helps{condition}.'
    text = f'{words}: a calibrator (mmaslp fit) helps, and so does {training}'
    return f'{text}{condition}.'


def _all_of(models: Sequence[str], number: int) -> str:
    """Name some of so many models."""
    if len(models) == 1:
        return f'{models[0]} is'
    if len(models) < number:
        return f'{_and(models)} are'
    if number == 2:
        return 'Both are'
    return f'All {number} are'


def _warning(comparison: Comparison) -> str:
    """Say what is compared with what, if it is not like with like."""
    one, other = comparison.calibrated
    if one == other or comparison.of_calibrator:
        return ''
    raw = comparison.first
    if one:
        raw = comparison.second
    return (
        f'Only {raw} is without a calibrator, which may explain the difference: '
        'compare raw with raw. '
    )


def _advice(comparison: Comparison, changes: _Changes) -> str:
    first, second = _names(comparison)
    gains = changes.gains
    losses = changes.losses
    if gains and losses:
        return f'Take {second} for {_labels(gains)}, {first} for {_labels(losses)}.'
    if not gains and not losses:
        return f'Keep {first}, or measure more images.'
    if comparison.of_calibrator:
        if gains:
            return 'Use the calibrator.'
        return 'Leave the calibrator out, or fit it to more images like these.'

    if not comparison.paired:
        return 'They were measured on other images: measure both on the same ones.'
    advice = f'Keep {first}'
    if gains:
        advice = f'Take {second}'
    return f'{advice} if another training of each agrees.'


def _labels(keys: Sequence[str]) -> str:
    return _and([metric_of(key).label for key in keys])


def _and(words: Sequence[str]) -> str:
    if len(words) < 2:
        return ''.join(words)
    return f'{", ".join(words[:-1])} and {words[-1]}'
