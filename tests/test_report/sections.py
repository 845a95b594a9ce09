"""Results, pictures and reports of a few small images."""

import json
from copy import deepcopy
from functools import cache

import numpy as np

from mmaslp.core import BandTable, CalibrationHistogram
from mmaslp.core.measure.image_table import ImageTable
from mmaslp.files.results import calibration_result
from mmaslp.report.document import Entry, Report, plain_result
from mmaslp.report.pictures import make_picture
from mmaslp.report.shown_images import ShownImages


@cache
def section(gain=1.5, number=4, mode='top_label', resamples=20, seed=0):
    rng = np.random.default_rng(seed)
    total, records, shown = CalibrationHistogram(), [], ShownImages(2)
    for i in range(number):
        logit = rng.normal(0, 2, (14, 10))
        label = (rng.random(logit.shape) < 1 / (1 + np.exp(-logit))).astype(np.uint8)
        prob = 1 / (1 + np.exp(-gain * logit))
        image = CalibrationHistogram()
        image.update(prob, label)
        total.merge(image)
        bands = BandTable() if mode == 'top_label' else None
        if bands is not None:
            bands.update(prob, label)
        record = ImageTable.record(f'<{i}>.png', image, 10, mode, bands)
        records.append(record)
        own = ImageTable(records[-1:]).per_image()
        metrics = {key: float(own[key][0]) for key in ('oe', 'ue', 'acc', 'conf')}
        shown.push(f'<{i}>.png', i, metrics, prob, label)
    result = calibration_result(
        total, ImageTable(records), mode=mode, resamples=resamples
    )
    return {'result': result, 'shown': shown.items}


def entry(model='A', dataset='test', with_pictures=False, **options):
    found = section(**options)
    pictures = []
    if with_pictures:
        kinds = found['shown'].items()
        for name, item in {i['name']: i for _, own in kinds for i in own}.items():
            why = [why for why, own in kinds if name in [i['name'] for i in own]]
            pictures.append(make_picture(item, reasons=why))
    result = deepcopy(_plain(tuple(sorted(options.items()))))
    return Entry(model, dataset, result, pictures=tuple(pictures))


@cache
def _plain(options):
    return plain_result(section(**dict(options))['result'])


def report(*entries, **options):
    texts = dict(title='Report', version='0.1', created='2026-01-01', command='mmaslp')
    return Report(entries=entries, **{**texts, **options})


def two_models(**options):
    """Under- and over-confident, on the same images."""
    return report(entry('A', gain=0.6, **options), entry('B', gain=2.0, **options))


def again(given):
    """The report after its JSON was written and read."""
    return Report.from_json(json.loads(given.to_json()))
