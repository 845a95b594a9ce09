"""Results of a few small images."""

from dataclasses import replace
from functools import cache

import numpy as np

from mmaslp.evaluation.evaluator import Evaluator


@cache
def images(gain=1.5, number=4, seed=0):
    """Probabilities and masks by name."""
    rng = np.random.default_rng(seed)
    found = {}
    for i in range(number):
        logit = rng.normal(0, 2, (14, 10))
        label = (rng.random(logit.shape) < 1 / (1 + np.exp(-logit))).astype(np.uint8)
        found[f'<{i}>.png'] = 1 / (1 + np.exp(-gain * logit)), label
    return found


@cache
def section(gain=1.5, number=4, mode='top_label', resamples=20, seed=0):
    """A result as an evaluation makes it."""
    evaluator = Evaluator(mode=mode)
    for name, (prob, label) in images(gain, number, seed).items():
        evaluator.add(name, prob, label)
    return evaluator.result('', '', resamples=resamples)


def result(model='A', dataset='test', calibrator=None, **options):
    """A result as its file has it."""
    made = section(**options)
    settings = {**made.settings, 'calibrator': calibrator}
    return replace(made, model=model, dataset=dataset, settings=settings)


def renamed(given, names):
    """The same result of images of other names."""
    return replace(given, images=replace(given.images, names=names))


def two_models(**options):
    """Under- and over-confident, on the same images."""
    return [result('A', gain=0.6, **options), result('B', gain=2.0, **options)]
