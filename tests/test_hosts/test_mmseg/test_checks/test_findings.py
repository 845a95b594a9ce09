import pytest

from mmaslp.hosts.mmseg.checks.findings import Finding, report_findings


def test_text_and_sentence():
    finding = Finding('error', 'a is b', 'a = c\nb = d')
    assert str(finding).splitlines() == [
        'error:   a is b',
        '         -> a = c',
        '         -> b = d',
    ]
    assert finding.sentence() == 'a is b -> a = c; b = d'


def test_errors_are_raised_together():
    report_findings([Finding('note', 'x'), Finding('ok', 'y')])
    with pytest.raises(ValueError, match='one\ntwo -> 2'):
        report_findings([Finding('error', 'one'), Finding('error', 'two', '2')])
