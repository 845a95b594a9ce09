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


def verdict(comparison: Comparison) -> str:
    """Say which of two models is better calibrated, whether by chance, what to do.

    It names the largest relative change of :data:`CALIBRATION` beyond chance (the 95 %
    interval excludes 0), and what else changed to the other side.
    """
    first, second = _names(comparison)
    changes = {
        key: comparison.metrics[key]
        for key in (*CALIBRATION, *MASKS)
        if key in comparison.metrics and not isnan(comparison.metrics[key].low)
    }
    if not (named := [key for key in CALIBRATION if key in changes]):
        return f'There are too few images to compare {second} with {first}.'
    # What is smaller may come of the format of the maps.
    if not (shown := [key for key in changes if round(changes[key].difference, 4)]):
        return (
            f'{_warning(comparison)}{second} and {first} are equal in pixels and masks.'
        )

    certain = [key for key in shown if changes[key].differs]
    gains = [key for key in certain if is_better(key, changes[key])]
    losses = [key for key in certain if key not in gains]
    candidates = [key for key in named if key in certain] or named
    key = max(candidates, key=lambda each: _relative(changes[each]))
    change = changes[key]
    largest = (
        f'{_values([key], changes)} (difference {change.low:+.4f} to '
        f'{change.high:+.4f})'
    )

    if change.differs:
        other = 'without it' if comparison.of_calibrator else first
        side, opposite = ('better', 'worse') if key in gains else ('worse', 'better')
        text = f'{second} is {side} than {other}: {largest}, more than chance explains.'
        if against := losses if key in gains else gains:
            text += f' But it is {opposite} in {_values(against, changes)}.'
    else:
        text = (
            f'The calibration of {second} and {first} cannot be told apart: the '
            f'largest change, {largest}, may be chance.'
        )
        if certain:
            text += f' But the masks differ: {_values(certain, changes)}.'
    return f'{_warning(comparison)}{text} {_advice(comparison, gains, losses)}'


def overall_verdict(members: Sequence[Measured]) -> str:
    """Compare what :func:`headline` names.

    Of one model alone it says how sure and how right it is.
    """
    shown = headline(members)
    if len(shown) == 2:
        return verdict(compare(*shown))
    text = describe(members[0].result)
    if not members[0].result.is_calibrated:
        text += ' Fit a calibrator to validation images, and compare (mmaslp fit).'
    return text


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
    rows = [(metric_of(key).label, changes[key]) for key in keys]
    return _and([f'{name} {c.second:.4f} instead of {c.first:.4f}' for name, c in rows])


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
