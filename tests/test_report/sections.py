"""Results of a few small images."""

from dataclasses import replace
from functools import cache

import numpy as np

from mmaslp.evaluation.comparison import Measured
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.report.pictures import chosen, make_picture


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


def result(model='A', dataset='test', with_pictures=False, calibrator=None, **options):
    """A result as its file has it."""
    made = section(**options)
    pictures = []
    if with_pictures:
        size = {key: options[key] for key in ('gain', 'number') if key in options}
        known = {name.removesuffix('.png'): name for name in images(**size)}
        names = chosen([Measured(made).images], 2).values()
        pictures = [
            make_picture(known[stem], *images(**size)[known[stem]])
            for stem in dict.fromkeys(stem for own in names for stem in own)
        ]
    settings = {**made.settings, 'calibrator': calibrator}
    return replace(
        made, model=model, dataset=dataset, pictures=pictures, settings=settings
    )


def renamed(given, names):
    """The same result of images of other names."""
    return replace(given, images=replace(given.images, names=names))


def two_models(**options):
    """Under- and over-confident, on the same images."""
    return [result('A', gain=0.6, **options), result('B', gain=2.0, **options)]
