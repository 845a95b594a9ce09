"""Whether the plugin will work here: the environment, and a config that is built."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from .checks.findings import (
    Finding,
    check_environment,
    has_ops,
    installed_versions,
    noted,
)


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

    def has(self, *levels: str) -> bool:
        """Whether there is a finding of one of some levels."""
        return any(finding.level in levels for finding in self.findings)


def examine(config: str | None, data: str | None = None) -> Diagnosis:
    """Check the environment, and a config, by building what it says.

    ``data`` is a folder of images and masks in place of those of the config.
    """
    found = Diagnosis(check_environment(installed_versions(), has_ops()))
    if config is None and find_spec('mmseg') is None:
        return found  # the user has maps, or PyTorch
    if not found.has('error'):
        with noted('MMSegmentation cannot be imported', found.findings):
            from .config import import_mmseg

            import_mmseg()

    if config is not None and found.has('error'):
        text = f'{config} was not read: mend the environment first'
        found.findings.append(Finding('note', text))
    elif config is not None:
        _examine_config(config, data, found)
    return found


def _examine_config(config: str, data: str | None, found: Diagnosis) -> None:
    from .checks.building import check_parts
    from .checks.settings import check_settings
    from .config import find_config, import_modules, read_config
    from .data import use_folder

    with noted(f'{config} cannot be read', found.findings):
        cfg = read_config(config)
        found.original = cfg.to_dict()
        found.findings += _foreign_bases(find_config(config))
        if data is not None:
            found.findings.append(Finding('ok', use_folder(cfg, data)))
        found.findings += check_settings(cfg)
        import_modules(cfg)
        found.findings += check_parts(cfg)
        found.mended = cfg.to_dict()
    if not found.has('error', 'warning'):
        text = f'model, data and hooks of {config} can be built'
        found.findings.append(Finding('ok', text))


def _foreign_bases(file: str) -> Iterator[Finding]:
    """Look for bases that the tools of MMSegmentation cannot find."""
    for node in ast.walk(ast.parse(Path(file).read_text(encoding='utf-8'))):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and text.startswith(('mmaslp::', 'mmseg::')):
            yield Finding(
                'note',
                f'only the tools of mmaslp can read {text!r}: `mmaslp train` and '
                "`python tools/train.py` of this package; MMSegmentation's own end "
                'with an error',
                'for those name the file by its path in _base_',
            )
