from dataclasses import dataclass

import pytest
import torch

from mmaslp.core import FB, MC, ME, RULES, Fixed, Rule, Validation, make_rule

ACCURATE = Validation(accuracy=0.9, confidence=0.95)


def test_rules_by_name_dictionary_and_object():
    assert make_rule('FB', gain=0.5) == FB(gain=0.5)
    assert make_rule(dict(type='MC', eta=0.1)) == MC(eta=0.1)
    rule = ME(landmark='warmup')
    assert make_rule(rule) is rule
    assert make_rule('fixed') == Fixed()
    for given in (rule, dict(type='MC')):
        with pytest.raises(ValueError, match='give lam inside of rule'):
            make_rule(given, lam=3.0)
    with pytest.raises(ValueError, match="no option 'gap': it takes gain"):
        make_rule('FB', gap='median')


def test_a_rule_of_ones_own_is_one_class_and_one_line(monkeypatch):
    @dataclass(frozen=True)
    class Halve(Rule):
        name = 'halve'
        share: float = 0.5

        def _step(self, alpha, margin, beta, now):
            return alpha * self.share

    monkeypatch.setitem(RULES, 'halve', Halve)
    rule = make_rule('halve', share=0.25)
    alpha = torch.tensor([0.4])
    moved = rule.step(alpha, torch.ones(1), beta=2.0, validation=ACCURATE)
    assert moved.tolist() == pytest.approx([0.1]) and moved.dtype == torch.float32
    assert rule.settings() == {'rule': 'halve', 'share': 0.25}
