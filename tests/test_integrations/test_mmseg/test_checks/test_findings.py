"""How findings are said."""

import pytest

from mmaslp.integrations.mmseg.checks.findings import Finding, report_findings


def test_findings_are_shown_raised_or_logged():
    finding = Finding('error', 'a is b', 'a = c\nb = d')
    lines = ['error:   a is b', '         -> a = c', '         -> b = d']
    assert str(finding).splitlines() == lines
    report_findings([Finding('note', 'x'), Finding('ok', 'y')])
    with pytest.raises(ValueError, match='one\na is b -> a = c; b = d'):
        report_findings([Finding('error', 'one'), finding])
