"""Weights and models; tests/hostile/test_silent.py has weights of every other kind."""

from types import SimpleNamespace

import pytest
from torch import nn

from mmaslp.hosts.mmseg import weights
from mmaslp.hosts.mmseg.models import BinarySegTTAModel
from mmaslp.hosts.mmseg.weights import Misfit, WeightsHook, compare_weights


def test_what_fits_is_loaded():
    one, other = nn.Linear(2, 1), nn.Linear(2, 1)
    assert not compare_weights(one, other.state_dict())
    assert one.weight.equal(other.weight)
    tta = BinarySegTTAModel.__new__(BinarySegTTAModel)
    nn.Module.__init__(tta)
    tta.module = one
    assert not compare_weights(tta, other.state_dict())


def test_names_are_listed():
    misfit = Misfit(['a', 'b', 'c', 'd'], [], ['e'], 9)
    assert misfit.describe() == (
        '4 of the 9 weights of the model are not in it (a, b, c, ...); '
        '1 of its weights are not in the model (e)'
    )
    assert '(a, b, c, d)' in misfit.describe(None)


def test_the_hook_refuses_or_warns(monkeypatch):
    said = []
    monkeypatch.setattr(weights, 'print_log', lambda text, **_: said.append(text))
    runner = SimpleNamespace(model=nn.Linear(2, 1))
    for strict in (True, False):
        hook = WeightsHook(strict)
        hook.after_load_checkpoint(runner, nn.Linear(2, 1).state_dict())
    assert not said
    hook.after_load_checkpoint(runner, {})
    assert 'weight, bias' in said[0]
    with pytest.raises(ValueError, match=r'does not fit the model .*weight, bias'):
        WeightsHook(True).after_load_checkpoint(runner, {})
