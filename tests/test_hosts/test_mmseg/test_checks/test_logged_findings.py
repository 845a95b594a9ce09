"""Findings in a run."""

import pytest

from mmaslp.hosts.mmseg.checks import logged_findings as findings
from mmaslp.hosts.mmseg.checks.findings import Finding
from mmaslp.hosts.mmseg.checks.logged_findings import report_findings


def test_warnings_are_logged_and_errors_raised(monkeypatch):
    said = []
    monkeypatch.setattr(findings, 'print_log', lambda text, **_: said.append(text))
    warning = Finding('warning', 'odd', 'do this')
    report_findings([warning, Finding('note', 'good to know'), Finding('ok', 'well')])
    assert said == ['odd -> do this']
    errors = [Finding('error', 'one', 'a\nb'), Finding('error', 'two')]
    with pytest.raises(ValueError, match=r'^one -> a; b\ntwo$'):
        report_findings([*errors, warning])
    assert said == ['odd -> do this'] * 2
