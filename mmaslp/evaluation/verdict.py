"""What a comparison says: which is better, by how much, is it chance, what to do."""

from collections.abc import Mapping, Sequence
from math import isnan, nan

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


def verdict(comparison: Comparison) -> str:
    """Say which of two models is better calibrated, whether by chance, what to do.

    It names the largest relative change of :data:`CALIBRATION` beyond chance (see
    :mod:`~mmaslp.metrics.chance`), what else changed to the other side, and whether
    each model is too sure or not sure enough. With fewer images, or groups of them,
    than the test takes it says so, and how many it takes.
    """
    first, second = _names(comparison)
    changes = _tested(comparison)
    calibration = [key for key in CALIBRATION if key in changes]
    if not calibration:
        text = f'There are too few images to compare {second} with {first}'
        return f'{text}{_needed(comparison)}.'

    # What is smaller may come of the format of the maps.
    shown = [key for key in changes if round(changes[key].difference, 4)]
    warning = _warning(comparison)
    if not shown:
        return f'{warning}{second} and {first} are equal in pixels and masks.'
    if comparison.needed:
        return f'{warning}{_too_few(comparison, calibration, changes)}'

    certain = [key for key in shown if changes[key].differs]
    gains = [key for key in certain if is_better(key, changes[key])]
    losses = [key for key in certain if key not in gains]
    key = _largest([key for key in calibration if key in certain], changes)
    if key is None:
        text = _cannot_be_told_apart(comparison, calibration, certain, changes)
    else:
        text = _more_than_chance(comparison, key, gains, losses, changes)
    sentences = [text, _sureness(comparison), _advice(comparison, gains, losses)]
    return warning + ' '.join(filter(None, sentences))


def _tested(comparison: Comparison) -> dict[str, Difference]:
    """The changes that a verdict speaks of."""
    changes = {}
    for key in (*CALIBRATION, *MASKS):
        change = comparison.metrics.get(key)
        if change is not None and not isnan(change.low):
            changes[key] = change
    return changes


def _largest(keys: Sequence[str], changes: Mapping[str, Difference]) -> str | None:
    """The metric of the largest relative change; None of none."""
    return max(keys, key=lambda key: _relative(changes[key]), default=None)


def _needed(comparison: Comparison) -> str:
    """Say how many units there are, and how many a test takes."""
    if not comparison.needed:
        return ''
    name = comparison.units.name
    return f': {comparison.units.text}, and a test takes {comparison.needed} {name}'


def _too_few(
    comparison: Comparison, keys: Sequence[str], changes: Mapping[str, Difference]
) -> str:
    first, second = _names(comparison)
    key = _largest(keys, changes)
    assert key is not None  # models that are compared share a metric
    return (
        f'There are too few {comparison.units.name} to tell {second} from {first}'
        f'{_needed(comparison)}. The largest change, {_values([key], changes)}, may be '
        f'chance. Measure more {comparison.units.name}.'
    )


def _cannot_be_told_apart(
    comparison: Comparison,
    keys: Sequence[str],
    certain: Sequence[str],
    changes: Mapping[str, Difference],
) -> str:
    first, second = _names(comparison)
    key = _largest(keys, changes)
    assert key is not None  # models that are compared share a metric
    largest = _with_interval(key, changes)
    text = (
        f'The calibration of {second} and {first} cannot be told apart: the largest '
        f'change, {largest}, may be chance.'
    )
    if certain:
        text += f' But the masks differ: {_values(certain, changes)}.'
    return text


def _more_than_chance(
    comparison: Comparison,
    key: str,
    gains: Sequence[str],
    losses: Sequence[str],
    changes: Mapping[str, Difference],
) -> str:
    first, second = _names(comparison)
    if comparison.of_calibrator:
        first = 'without it'
    if key in gains:
        side, opposite, against = 'better', 'worse', losses
    else:
        side, opposite, against = 'worse', 'better', gains

    largest = _with_interval(key, changes)
    text = f'{second} is {side} than {first}: {largest}, more than chance explains.'
    if against:
        text += f' But it is {opposite} in {_values(against, changes)}.'
    return text


def overall_verdict(members: Sequence[Measured]) -> str:
    """Say which model of a set is best, and compare what :func:`headline` names.

    Of one model alone it says how sure and how right it is; of several in which
    direction each errs, and what follows from that.
    """
    if len(members) == 1:
        text = describe(members[0].result)
        if not members[0].result.is_calibrated:
            text += ' Fit a calibrator to validation images, and compare (mmaslp fit).'
        return text

    shown = headline(members)
    if len(shown) == 1:
        return describe(members[0].result)
    text = verdict(compare(*shown))
    if len(members) == 2:
        return text
    others = [member for member in members if member not in shown]
    return ' '.join(
        filter(None, [_best_of_all(members), text, *map(_error_of, others)])
    )


def _best_of_all(members: Sequence[Measured]) -> str:
    """Say which model has the smallest NLL, and whether the next may be as good."""
    usable = [row for row in members if not isnan(row.result.metrics['nll'])]
    ordered = sorted(usable, key=lambda row: row.result.metrics['nll'])
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
        return f'{text}, more than chance explains.'
    return f'{text}, which may be chance.'


def _error_of(member: Measured) -> str:
    """Say in which direction a model errs; '' in mode 'positive'."""
    result = member.result
    if result.is_positive or isnan(result.metrics['acc']):
        return ''
    sure = _sure_and_right(result.metrics['conf'], result.metrics['acc'])
    return f'{result.model}: {sure}.'


def headline(members: Sequence[Measured]) -> list[Measured]:
    """The best model of a set, after what it is compared with, like with like.

    The best has the smallest NLL, a proper score, of all but the first; if there is
    none, it is the first alone.
    """
    others = [row for row in members[1:] if not isnan(row.result.metrics['nll'])]
    if not others:
        return [members[0]]
    best = min(others, key=lambda row: row.result.metrics['nll'])
    return [(baselines(best, members) or members)[0], best]


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

    objects = result.positive.get('acc', nan)
    hints = {
        '. That is no more accurate than without a network: train on, or see that '
        'foreground is 1 in maps and masks, and that maps have one sigmoid and the '
        'right scale': accuracy <= max(objects, 1 - objects) < 1,
        '. It finds no object': result.metrics.get('dice') == 0,
        '. All probabilities are 0 or 1, as of masks: give the maps before the cut, '
        'and the folder of masks last': confidence == 1,
        '. All masks are full': objects == 1,
        '. All masks are empty': objects == 0,
    }
    return f'{text}{"".join(hint for hint in hints if hints[hint])}.'


def _sure_and_right(confidence: float, accuracy: float) -> str:
    text = f'{confidence:.1%} sure, {accuracy:.1%} right'
    points = round(round(100 * confidence, 1) - round(100 * accuracy, 1), 1)
    amount = f'too sure by {points}' if points > 0 else f'not sure enough by {-points}'
    return f'{text} ({amount} points)' if points else text


def is_better(key: str, change: Difference) -> bool:
    """Whether the second model of a difference is the better one."""
    return (change.difference < 0) == (metric_of(key).better == 'lower')


def _names(comparison: Comparison) -> tuple[str, str]:
    if comparison.of_calibrator:
        network = comparison.second
        return f'{network} without it', f'{network} with its calibrator'
    return comparison.titles


def _relative(change: Difference) -> float:
    """Size of a change in [0, 1], the same both ways."""
    return abs(change.difference) / max(abs(change.first), abs(change.second), 1e-12)


def _values(keys: Sequence[str], changes: Mapping[str, Difference]) -> str:
    texts = []
    for key in keys:
        change = changes[key]
        label = metric_of(key).label
        texts.append(f'{label} {change.second:.4f} instead of {change.first:.4f}')
    return _and(texts)


def _with_interval(key: str, changes: Mapping[str, Difference]) -> str:
    change = changes[key]
    interval = f'{change.low:+.4f} to {change.high:+.4f}'
    return f'{_values([key], changes)} (difference {interval})'


def _sureness(comparison: Comparison) -> str:
    """Say whether each model is too sure, or not sure enough, and what follows."""
    confidence = comparison.metrics.get('conf')
    accuracy = comparison.metrics.get('acc')
    if confidence is None or accuracy is None:
        return ''

    first, second = comparison.titles
    return (
        f'{first}: {_sure_and_right(confidence.first, accuracy.first)}. '
        f'{second}: {_sure_and_right(confidence.second, accuracy.second)}.'
        f'{_remedy(comparison, confidence, accuracy)}'
    )


def _remedy(
    comparison: Comparison, confidence: Difference, accuracy: Difference
) -> str:
    """What helps both networks, if both err in one direction without a calibrator."""
    if any(comparison.calibrated):
        return ''
    excess = (
        confidence.first - accuracy.first,
        confidence.second - accuracy.second,
    )
    if min(excess) > LEAST_EXCESS:
        return (
            ' Both are too sure: a calibrator (mmaslp fit) helps, and so does training '
            'with larger levels.'
        )
    if max(excess) < -LEAST_EXCESS:
        return (
            ' Both are not sure enough: a calibrator (mmaslp fit) helps, and so does '
            'training with smaller levels, or without smoothed labels.'
        )
    return ''


def _warning(comparison: Comparison) -> str:
    """Say what is compared with what, if it is not like with like."""
    one, other = comparison.calibrated
    if one == other or comparison.of_calibrator:
        return ''
    raw = comparison.second if one else comparison.first
    return (
        f'Only {raw} is without a calibrator, which may explain the difference: '
        'compare raw with raw. '
    )


def _advice(comparison: Comparison, gains: Sequence[str], losses: Sequence[str]) -> str:
    first, second = _names(comparison)
    if gains and losses:
        labels = [_and([metric_of(k).label for k in keys]) for keys in (gains, losses)]
        return f'Take {second} for {labels[0]}, {first} for {labels[1]}.'
    if not gains and not losses:
        return f'Keep {first}, or measure more images.'
    if comparison.of_calibrator:
        remedy = 'Leave the calibrator out, or fit it to more images like these.'
        return 'Use the calibrator.' if gains else remedy

    if not comparison.paired:
        return 'They were measured on other images: measure both on the same ones.'
    advice = f'Take {second}' if gains else f'Keep {first}'
    return f'{advice} if another training of each agrees.'


def _and(words: Sequence[str]) -> str:
    return ' and '.join(filter(None, [', '.join(words[:-1]), *words[-1:]]))
