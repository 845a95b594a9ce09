"""Saying what a check has found, in a run."""

import logging
from collections.abc import Iterable

from mmengine.logging import print_log

from .findings import Finding

__all__ = ['report_findings']


def report_findings(findings: Iterable[Finding]) -> None:
    """Log the warnings of a check, and refuse to go on if there is an error.

    Args:
        findings (Iterable[Finding]): What was found; notes are left to the doctor.

    Raises:
        ValueError: With all errors.
    """
    errors = []
    for finding in findings:
        if finding.level == 'error':
            errors.append(str(finding.exception()))
        elif finding.level == 'warning':
            text = str(finding.exception())
            print_log(text, logger='current', level=logging.WARNING)
    if errors:
        raise ValueError('\n'.join(errors))
