"""What the losses of a model must have in common."""

from mmaslp.hosts.mmseg.checks.perturbation import (
    different_strengths,
    no_loss,
    no_loss_no_hook,
)


def test_strengths_count_and_not_names():
    assert different_strengths([2.0, 2.0]) is None
    assert different_strengths([]) is None
    finding = different_strengths([2.0, 1.0, 2.0], ['a', 'b', 'c'])
    assert 'different strengths beta (1, 2)' in finding.message
    assert finding.remedy == "a.beta = 'HI'\nb.beta = 'HI'\nc.beta = 'HI'"
    assert 'in every SCBCELoss' in different_strengths([2.0, 1.0]).remedy


def test_a_loss_is_needed_under_the_hook():
    assert no_loss(1) is None and no_loss_no_hook(1) is None
    assert no_loss(0).level == 'error' and no_loss_no_hook(0).level == 'warning'
