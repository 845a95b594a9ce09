import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmaslp.core.measure.bootstrap import resample
from mmaslp.files.results import image_table
from mmaslp.report.analysis import analyse

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))
result = helper.result


def test_estimates_are_those_of_the_result():
    one = result()
    (group,) = analyse([one], 5).sets
    (member,) = group.members
    assert list(member.estimates)[:3] == ['ece', 'oe', 'ue']
    for key, estimate in member.estimates.items():
        assert estimate.value == one[key], key
        assert [estimate.low, estimate.high] == one['intervals'][key], key


def test_same_images_are_compared_pairwise():
    one, two = helper.two_models()
    (group,) = analyse([one, two], 30).sets
    found = group.differences['B', 'A']
    drawn = [resample(image_table(each), 30) for each in (one, two)]
    expected = drawn[0].differences(drawn[1])
    for key in ('ece', 'oe', 'nll', 'ece_band'):
        change = found[key]
        assert change.value == pytest.approx(expected[key]['difference'])
        assert change.low == pytest.approx(expected[key]['low'])
        assert change.value == pytest.approx(-group.differences['A', 'B'][key].value)


def test_other_masks_under_the_same_names():
    one, two = result('A'), result('B')
    two['images']['masks'][2] += 1
    with pytest.raises(ValueError, match=r"A and B on test: 1 images .*'<2>'"):
        analyse([one, two], 5)
    two['dataset'] = 'other'  # another set whose files happen to be named alike
    assert len(analyse([one, two], 5).sets) == 2


def test_means_leave_out_sets_without_objects():
    sets = [result('A', 'x'), result('A', 'y', seed=1), result('A', 'z', seed=2)]
    sets[2]['ood'] = True
    analysis = analyse(sets, 20)
    mean = analysis.means['A']['ece']
    assert mean.value == pytest.approx(np.mean([each['ece'] for each in sets[:2]]))
    assert mean.low < mean.value < mean.high
    assert analysis.mean_name == 'mean of sets with objects'
    assert not analyse(sets[1:], 5).means
