"""Sections of a report."""

import numpy as np

from mmaslp.core import CalibrationHistogram, RegionTable
from mmaslp.core.calibration.image_table import ImageTable
from mmaslp.evaluation.results import calibration_result
from mmaslp.evaluation.worst_images import WorstImages


def section(gain=1.5, number=4, mode='top_label', resamples=20):
    rng = np.random.default_rng(0)
    total, records, worst = CalibrationHistogram(), [], WorstImages(2)
    for i in range(number):
        logit = rng.normal(0, 2, (14, 10))
        label = (rng.random(logit.shape) < 1 / (1 + np.exp(-logit))).astype(np.uint8)
        prob = 1 / (1 + np.exp(-gain * logit))
        image = CalibrationHistogram()
        image.update(prob, label)
        total.merge(image)
        regions = RegionTable() if mode == 'top_label' else None
        if regions is not None:
            regions.update(prob, label)
        record = ImageTable.record(f'<{i}>.png', image, 10, mode, regions)
        records.append(record)
        oe = float(ImageTable(records[-1:]).per_image()['oe'][0])
        worst.push(f'<{i}>.png', i, {'oe': oe}, prob, label)
    result = calibration_result(
        total, ImageTable(records), mode=mode, resamples=resamples
    )
    return {'result': result, 'worst': worst.items}
