"""What the hook of the levels logs: scalars, histograms, and the step of both."""

import logging
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import LoggerHook
from mmengine.logging import print_log

from ....core.levels import ImageLevels
from ....report.diagrams import alpha_histogram
from ..trackers import send_histogram, send_picture

__all__ = ['image_scalars', 'log_levels', 'scalar_step', 'send_levels']

# The log takes its statistics from at most this many levels. The rows of the bank are
# sorted by hash, so the first ones are a random sample.
_MAX_SAMPLE = 4096


def scalar_step(runner: Any) -> int:
    """Step of the scalars of a validation inside of a training."""
    loggers = (hook for hook in runner.hooks if isinstance(hook, LoggerHook))
    by_epoch = any(hook.log_metric_by_epoch for hook in loggers)
    return runner.epoch if by_epoch else runner.iter


def image_scalars(levels: ImageLevels) -> dict[str, float]:
    """Mean level of the images, ``alpha``, and its quantiles."""
    alpha = levels.alpha.numpy()[:_MAX_SAMPLE]
    # The nearest order statistics: they take a tenth of the time of np.quantile.
    places = [round(q * (len(alpha) - 1)) for q in (0.05, 0.5, 0.95)]
    quantiles = np.partition(alpha, places)[places]
    names = ('alpha_p05', 'alpha_p50', 'alpha_p95')
    return dict(zip(names, map(float, quantiles))) | {'alpha': float(alpha.mean())}


def send_levels(levels: ImageLevels, step: int) -> None:
    """Send the distribution of the levels to the trackers of the run.

    All get the picture ``alpha_histogram``; those with histograms of their own also the
    levels, as ``alpha_levels``.
    """
    if not is_main_process():
        return
    alpha = levels.alpha.numpy()
    send_histogram('alpha_levels', alpha, step)
    send_picture('alpha_histogram', alpha_histogram(alpha, levels.beta), step)


def log_levels(message: str, level: int = logging.INFO) -> None:
    """Write a line about the levels to the log of the run."""
    print_log(f'ASLP: {message}', logger='current', level=level)
