"""Reading dictionaries and objects in one way."""

import pytest
from mmengine.registry import Registry

from mmaslp.hosts.mmseg.checks.parts import (
    builds,
    is_type,
    metrics_of,
    read,
    type_name,
    walk_datasets,
    walk_steps,
)
from mmaslp.hosts.mmseg.models import SCBCELoss


@pytest.mark.parametrize(
    'part',
    [
        dict(type='SCBCELoss'),
        dict(type='mmseg.SCBCELoss'),
        dict(type='mmaslp.hosts.mmseg.losses.finding.SCBCELoss'),
        dict(type=SCBCELoss),
        SCBCELoss(),
    ],
)
def test_names(part):
    assert type_name(part) == 'SCBCELoss'
    assert builds(part, 'SCBCELoss', 'MODELS') and builds(part, 'Module', 'MODELS')
    assert is_type(part, 'SCBCELoss') is isinstance(part, dict)


def test_unknown_names():
    assert type_name({}) == '' and type_name(Registry('toys')) == 'Registry'
    assert not builds(dict(type='NoSuchLoss'), 'SCBCELoss', 'MODELS')
    assert not builds(dict(type='no.such.Loss'), 'SCBCELoss', 'MODELS')


def test_values():
    loss = SCBCELoss(alpha=0.25)
    assert read(loss, 'alpha') == read(dict(alpha=0.25), 'alpha') == 0.25
    assert read(loss, 'nothing', 1) == read({}, 'nothing', 1) == 1


def test_forms_of_an_evaluator():
    metric = dict(type='IoUMetric')
    custom = dict(type='Mine', metrics=[metric])
    for given, listed in (
        (None, []),
        (metric, [metric]),
        ([metric, metric], [metric, metric]),
        (dict(metrics=metric), [metric]),
        (dict(type='mmengine.Evaluator', metrics=[metric]), [metric]),
        (custom, [custom]),
    ):
        assert metrics_of(dict(val_evaluator=given), 'val_evaluator') == listed


def test_walks():
    inner, leaf = dict(name='inner'), dict(name='leaf')
    dataset = dict(datasets=[leaf, dict(dataset=inner)])
    places = {path: each.get('name') for path, each in walk_datasets(dataset, 'set')}
    assert places == {
        'set': None,
        'set.datasets[0]': 'leaf',
        'set.datasets[1]': None,
        'set.datasets[1].dataset': 'inner',
    }
    assert [*walk_datasets(None, 'set')] == [*walk_steps(None)] == []
    steps = [[dict(type='A')], dict(type='B', transforms=[[dict(type='C')]])]
    assert [*map(type_name, walk_steps(steps))] == ['A', 'B', 'C']
