"""Temperature scaling of a binary model, fitted from a streaming logit histogram."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..argument_checks import check_number
from .logit_histogram import LogitHistogram

__all__ = ['best_inverse', 'check_temperature', 'fit_temperature']

# Limit of the search: beyond it the optimum counts as unbounded, and no number serves.
MAX_TEMPERATURE = 2.0**10


def fit_temperature(histogram: LogitHistogram) -> float:
    """Find the temperature with the lowest negative log-likelihood.

    The NLL is convex in 1 / T. Its derivative is bisected in float64 until no number is
    left between the two ends.

    Source: `On Calibration of Modern Neural Networks
    <https://arxiv.org/abs/1706.04599>`_.

    Args:
        histogram (LogitHistogram): Of validation pixels.

    Returns:
        float: T in [2**-10, 2**10].

    Raises:
        ValueError: There are no pixels or pixels of one class only, or the optimum
            lies at 0 (the classes are separated) or infinity (the logits carry no
            information, or some have overflowed).
    """
    per_class = histogram.counts.view(-1, 2).sum(0).tolist()
    if not sum(per_class):
        raise ValueError('no pixel with a valid label: check the validation masks')
    if 0 in per_class:
        raise ValueError(
            f'all {sum(per_class)} pixels are '
            f'{"background" if per_class[0] else "foreground"}, and of one class no '
            'temperature can be fitted: use a validation set with both'
        )
    inverse = best_inverse(histogram.balance)
    if inverse == math.inf:
        raise ValueError(
            'the network separates the validation pixels without an error that '
            f'counts (|z| of {1 / (2 * histogram.PER_UNIT):.2g} or more), so the NLL '
            f'falls all the way to T = 0 (no optimum above 1 / {MAX_TEMPERATURE:g}): '
            'fit on more images, on ones that were not trained on, or do without a '
            'temperature'
        )
    if inverse == 0 and histogram.wrong_beyond:
        raise ValueError(
            f'{histogram.wrong_beyond} pixels have |z| >= {histogram.LIMIT} on the '
            'wrong side, of which only the sum is kept, so its NLL falls all the way '
            f'to T = infinity (no optimum below {MAX_TEMPERATURE:g}): look for an '
            'overflow in half precision'
        )
    if inverse == 0:
        raise ValueError(
            'the logits are no better than chance on the validation set, so the NLL '
            f'falls all the way to T = infinity (no optimum below {MAX_TEMPERATURE:g})'
            ': check the checkpoint and that foreground is 1 in the masks'
        )
    return 1 / inverse


def check_temperature(value: float) -> float:
    """Return a temperature as a float.

    Args:
        value (float): The temperature, in [2**-10, 2**10].

    Raises:
        ValueError: It is not a number in this range.
    """
    return check_number(
        'temperature',
        value,
        at_least=1 / MAX_TEMPERATURE,
        at_most=MAX_TEMPERATURE,
        hint=': fit one with `mmaslp fit-temperature`',
    )


def best_inverse(balance: Callable[[float], float]) -> float:
    """Find 1 / T with the lowest negative log-likelihood, whatever the pixels.

    Args:
        balance (Callable): Minus the derivative of the NLL, a falling function of
            1 / T, see :meth:`LogitHistogram.balance`.

    Returns:
        float: In [2**-10, 2**10], or 0 or infinity if the optimum lies beyond.
    """
    low, high = 1 / MAX_TEMPERATURE, MAX_TEMPERATURE
    if balance(low) <= 0:
        return 0.0
    if balance(high) >= 0:
        return math.inf
    while low < (middle := math.sqrt(low * high)) < high:
        if balance(middle) > 0:
            low = middle
        else:
            high = middle
    return high
