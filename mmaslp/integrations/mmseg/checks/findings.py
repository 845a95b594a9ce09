"""What checks find, and how it is said; imports no MMEngine."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# The remedy of what the doctor's patch puts right.
PATCH = '`mmaslp doctor CONFIG` prints the lines to paste'


@dataclass(frozen=True)
class Finding:
    """One finding."""

    level: str
    message: str
    remedy: str = ''

    def __str__(self) -> str:
        message, remedy = self.message, self.remedy
        if remedy == PATCH:
            message, remedy = f'{message} (in the patch)', ''
        lines = []
        margin = f'{self.level}:'
        for line in message.splitlines():
            lines.append(f'{margin:9}{line}')
            margin = ''
        for line in remedy.splitlines():
            lines.append(f'{"":9}-> {line}')
        return '\n'.join(lines)

    def sentence(self) -> str:
        """Return message and remedy on one line."""
        remedy = '; '.join(self.remedy.splitlines())
        if not remedy:
            return self.message
        return f'{self.message} -> {remedy}'


def report_findings(findings: Iterable[Finding]) -> None:
    """Log the warnings of a check, and refuse to go on if there is an error."""
    from mmengine.logging import print_log

    errors = []
    for finding in list(findings):
        if finding.level == 'warning':
            print_log(finding.sentence(), logger='current', level=logging.WARNING)
        if finding.level == 'error':
            errors.append(finding.sentence())
    if errors:
        raise ValueError('\n'.join(errors))


@contextmanager
def noted(place: str, findings: list[Finding]) -> Iterator[None]:
    """Make a finding of what is raised."""
    try:
        yield
    except Exception as error:  # parts of others raise what they like
        text = _words_of(error)
        if place and not text.startswith(place):
            text = f'{place}: {text}'
        findings.append(Finding('error', text))


# Errors whose texts are sentences; those of others need the type to be understood.
_SENTENCES = (ValueError, OSError, ImportError, AssertionError)
_MOST = 500  # characters of a line: MMEngine prints whole parts of a config


def _words_of(error: Exception) -> str:
    """What an error says, and its type where that alone tells what is wrong."""
    if not str(error):
        return repr(error)
    text = '\n'.join(line[:_MOST] for line in str(error).splitlines())
    if isinstance(error, KeyError):  # its text is that of its key
        text = str(error.args[0])
    if isinstance(error, _SENTENCES):
        return text
    return f'{type(error).__name__}: {text}'


@dataclass
class Diagnosis:
    """What the doctor finds, and the config as it should be.

    Attributes:
        findings (list[Finding]): In the order in which they are found.
        original (dict): The config as it is read.
        mended (dict): The config as the patch makes it.
    """

    findings: list[Finding] = field(default_factory=list)
    original: dict = field(default_factory=dict)
    mended: dict = field(default_factory=dict)

    def has(self, level: str) -> bool:
        """Whether there is a finding of a level."""
        return any(finding.level == level for finding in self.findings)

    @property
    def has_patch(self) -> bool:
        """Whether the config should be another one."""
        return bool(self.mended) and self.mended != self.original

    @property
    def errors(self) -> list[Finding]:
        """All errors."""
        return [finding for finding in self.findings if finding.level == 'error']

    @property
    def uncured(self) -> list[Finding]:
        """Errors that the patch leaves."""
        return [error for error in self.errors if error.remedy != PATCH]
