import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmaslp.core import CalibrationHistogram
from mmaslp.core.measure import (
    BinTable,
    binned_metrics,
    equal_width,
)
from mmaslp.core.measure.fine_bins import FineBins, pack
from mmaslp.core.measure.image_table import ImageTable

# Not importable by name under pytest's importlib mode.
pixels = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('pixels.py')))
reference = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('reference.py')))
scene = pixels.scene


def test_pooled_adds_what_the_weights_say():
    images, tables = [], []
    for seed in range(5):
        histogram = CalibrationHistogram()
        histogram.update(*scene(seed, size=50 * seed))  # the first has no pixel
        tables.append(equal_width(histogram.score_table(), 260))
        images.append(pack(tables[-1]))
    fine = FineBins(images, 260)
    weights = np.array([[1, 1, 1, 1, 1], [3, 0, 2, 0, 0], [5, 0, 0, 0, 0.0]])
    found = fine.pooled(weights)
    dense = [np.stack([getattr(t, k) for t in tables]) for k in ('count', 'correct')]
    conf = weights @ np.stack([each.conf for each in tables])
    filled = dense[0].any(0)
    assert np.array_equal(found.count, (weights @ dense[0])[:, filled])
    assert np.array_equal(found.correct, (weights @ dense[1])[:, filled])
    assert found.conf == pytest.approx(conf[:, filled], abs=1e-6)
    assert found.count.dtype == np.int64


def test_json_keeps_every_bit_and_refuses_damage():
    histogram = CalibrationHistogram()
    histogram.update(*scene(0))
    empty = pack(BinTable(*np.zeros((3, 260))))
    fine = FineBins([pack(equal_width(histogram.score_table(), 260)), empty], 260)
    content = fine.to_json()
    again = FineBins.from_json(content)
    assert again.number == 260
    assert np.array_equal(again.images[0], fine.images[0])
    assert again.images[1].dtype == empty.dtype and len(again.images[1]) == 0
    text = content['images'][0]
    for damaged in (text[:-8], '!' + text, text[:40] + 'AAAA' + text[44:]):
        with pytest.raises(ValueError, match='fine bins'):
            FineBins.from_json({'number': 260, 'images': [damaged]})
    with pytest.raises(ValueError, match=r'do not ascend|unpacks to more'):
        FineBins.from_json({'number': 100, 'images': [text]})


def test_ece_from_fine_bins_is_that_of_the_bins():
    histogram = CalibrationHistogram()
    histogram.update(*scene(1))
    exact = histogram.compute(mode='positive')
    record = ImageTable.record('a', histogram, 10, 'positive')
    fine = ImageTable([record]).fine
    table = fine.pooled()
    histogram_bins = np.zeros((3, fine.number))
    filled = fine.images[0]['bin']
    histogram_bins[:, filled] = table.count, table.correct, table.conf
    joined = BinTable(*histogram_bins).joined(fine.number // 10)
    assert float(binned_metrics(joined)['ece']) == pytest.approx(exact['ece'])
