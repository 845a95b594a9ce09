"""What a check has found, and saying so in a run."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One finding."""

    level: str
    message: str
    remedy: str = ''

    def __str__(self) -> str:
        lines = [f'{self.level + ":":9}{self.message}']
        return '\n'.join(lines + [f'{"":9}-> {x}' for x in self.remedy.splitlines()])

    def sentence(self) -> str:
        """Return message and remedy on one line."""
        remedy = '; '.join(self.remedy.splitlines())
        return f'{self.message} -> {remedy}' if remedy else self.message


def report_findings(findings: Iterable[Finding]) -> None:
    """Log the warnings of a check, and refuse to go on if there is an error."""
    from mmengine.logging import print_log

    errors = []
    for finding in findings:
        if finding.level == 'warning':
            print_log(finding.sentence(), logger='current', level=logging.WARNING)
        if finding.level == 'error':
            errors.append(finding.sentence())
    if errors:
        raise ValueError('\n'.join(errors))
