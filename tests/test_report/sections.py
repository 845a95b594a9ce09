"""Results of a few small images."""

from dataclasses import replace
from functools import cache

import numpy as np

from mmaslp.evaluation.result import calibration_result, mask_checksum
from mmaslp.metrics import BandTable, CalibrationHistogram, ImageRow, ImageTable
from mmaslp.report.pictures import ShownImages, make_picture


@cache
def section(gain=1.5, number=4, mode='top_label', resamples=20, seed=0):
    """A result as an evaluation makes it, and the images that it keeps."""
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
        mask = mask_checksum(label)
        record = ImageRow.of(f'<{i}>.png', image, 10, mode, bands, mask)
        records.append(record)
        own = ImageTable.of_rows(records[-1:]).per_image()
        metrics = {key: float(own[key][0]) for key in ('oe', 'ue')}
        shown.push(f'<{i}>.png', i, metrics, prob, label)
    result = calibration_result(
        total, ImageTable.of_rows(records), mode=mode, resamples=resamples
    )
    return {'result': result, 'shown': shown.items}


def result(model='A', dataset='test', with_pictures=False, **options):
    """A result as its file has it."""
    kept = section(**options)
    pictures = []
    if with_pictures:
        items = {item['name']: item for own in kept['shown'].values() for item in own}
        pictures = [
            make_picture(name, item['prob'], item['label'])
            for name, item in items.items()
        ]
    return replace(kept['result'], model=model, dataset=dataset, pictures=pictures)


def renamed(given, names):
    """The same result of images of other names."""
    return replace(given, images=replace(given.images, names=names))


def two_models(**options):
    """Under- and over-confident, on the same images."""
    return [result('A', gain=0.6, **options), result('B', gain=2.0, **options)]
