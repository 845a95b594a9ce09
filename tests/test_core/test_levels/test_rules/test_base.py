from dataclasses import dataclass

import pytest
import torch

from mmaslp.core import FB, MC, ME, RULES, Fixed, Rule, Validation, make_rule

ACCURATE = Validation(accuracy=0.9, confidence=0.95)


def test_rules_by_name_dictionary_and_object():
    assert make_rule('FB', gain=0.5) == FB(gain=0.5)
    assert make_rule(dict(type='MC', eta=0.1), lam=3.0) == MC(eta=0.1, lam=3.0)
    rule = ME(landmark=0.9)
    assert make_rule(rule) is rule
    assert make_rule('fixed') == Fixed()


@pytest.mark.parametrize(
    ('rule', 'options', 'match'),
    [
        ('FBX', {}, "rule must be one of MC, ME, FB, fixed, got 'FBX'"),
        (7, {}, 'rule must be one of MC, ME, FB, fixed, got 7'),
        (dict(gain=1.0), {}, 'rule must be one of .* got None'),
        ('FB', dict(eta=0.1), "'FB' has no option 'eta': it takes gain, gap, solver"),
        ('fixed', dict(eta=0.1), "'fixed' has no option 'eta': it takes none"),
        (FB(), dict(gain=2.0), 'rule is an object already: give gain to it'),
    ],
)
def test_rules_that_cannot_be_made(rule, options, match):
    with pytest.raises(ValueError, match=match):
        make_rule(rule, **options)


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
