"""What checks find, of the environment and of a config; imports no MMEngine."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import distributions

# The remedy of what the doctor's patch puts right.
PATCH = '`mmaslp doctor CONFIG` prints the lines to paste'


@dataclass(frozen=True)
class Finding:
    """One finding."""

    level: str
    message: str
    remedy: str = ''

    def __str__(self) -> str:
        remedy = 'in the patch' if self.remedy == PATCH else self.remedy
        first, *more = self.message.splitlines()
        lines = [f'{self.level + ":":9}{first}', *(f'{"":9}{line}' for line in more)]
        return '\n'.join(lines + [f'{"":9}-> {x}' for x in remedy.splitlines()])

    def sentence(self) -> str:
        """Return message and remedy on one line."""
        remedy = '; '.join(self.remedy.splitlines())
        return f'{self.message} -> {remedy}' if remedy else self.message


def report_findings(findings: Iterable[Finding]) -> None:
    """Log the warnings of a check, and refuse to go on if there is an error."""
    from mmengine.logging import print_log

    findings = [*findings]
    for finding in findings:
        if finding.level == 'warning':
            print_log(finding.sentence(), logger='current', level=logging.WARNING)
    errors = [each.sentence() for each in findings if each.level == 'error']
    if errors:
        raise ValueError('\n'.join(errors))


@contextmanager
def noted(place: str, findings: list[Finding]) -> Iterator[None]:
    """Make a finding of what is raised."""
    try:
        yield
    except Exception as error:  # parts of others raise what they like
        text = str(error) or repr(error)
        findings.append(Finding('error', f'{place}: {text}' if place else text))


ONEDL = ('onedl-mmsegmentation', 'onedl-mmcv', 'onedl-mmengine')
OPENMMLAB = ('mmsegmentation', 'mmcv', 'mmcv-lite', 'mmengine')
_INSTALL = 'pip install "mmaslp[onedl]"'


def installed_versions() -> dict[str, str]:
    """Versions of the installed packages that matter, by distribution."""
    versions = {str(each.name).lower(): each.version for each in distributions()}
    return {
        name: versions[name]
        for name in (*ONEDL, *OPENMMLAB, 'torch', 'numpy')
        if name in versions
    }


def check_environment(versions: Mapping[str, str], ops: bool) -> list[Finding]:
    """Check a set of packages; what else is wrong MMSegmentation says by itself."""
    onedl = [name for name in ONEDL if name in versions]
    openmmlab = [name for name in OPENMMLAB if name in versions]
    names = ' '.join(onedl + openmmlab)
    packages = ', '.join(f'{name} {number}' for name, number in versions.items())

    rows = [
        (bool(onedl) != bool(openmmlab), 'ok', f'MMSegmentation: {packages}', ''),
        (
            onedl and openmmlab,
            'error',
            f'two distributions of MMSegmentation lie over each other ({names}): what '
            'is imported is a mixture',
            f'pip uninstall -y {names}\n{_INSTALL}',
        ),
        (
            not onedl and not openmmlab,
            'note',
            'MMSegmentation is not installed; maps, calibrators and PyTorch work, '
            'training and testing of configs do not',
            _INSTALL,
        ),
        (
            onedl and not ops,
            'note',
            'mmcv has no compiled operators: heads that need them (PointRend, PSANet, '
            'CCNet, ...) do not work, all others do',
            'mim install onedl-mmcv  (a wheel with operators, for your torch)',
        ),
        (
            openmmlab and not ops,
            'error',
            "mmcv has no compiled operators, without which OpenMMLab's mmseg.models "
            'cannot be imported',
            'MMCV_WITH_OPS=1 pip install --no-build-isolation mmcv==2.1.0',
        ),
    ]
    return [Finding(level, text, line) for holds, level, text, line in rows if holds]


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
