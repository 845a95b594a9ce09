"""Heads that are refused, and why."""

import pytest

from mmaslp.hosts.mmseg.checks.heads import REFUSED, no_pixel_logits, refused_part


@pytest.mark.parametrize('name', sorted(REFUSED))
def test_refused(name):
    for check, words in (
        (refused_part, 'SCBCELoss cannot perturb'),
        (no_pixel_logits, 'no logits that a temperature could divide'),
    ):
        finding = check(name, 'model.decode_head[1]')
        assert finding.level == 'error' and finding.message.startswith(name)
        assert words in finding.message and 'every pixel' in finding.message
        assert finding.remedy.startswith('model.decode_head[1] = ')


def test_others_are_not():
    assert refused_part('FCNHead', 'model.decode_head') is None
    assert no_pixel_logits('FCNHead', 'model.decode_head') is None
