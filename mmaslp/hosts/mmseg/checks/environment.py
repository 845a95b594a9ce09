"""Checks of the installed packages; imports none of them."""

import importlib.metadata
from collections.abc import Mapping
from importlib.util import find_spec

from .findings import Finding

__all__ = ['check_environment', 'has_ops', 'installed_versions']

ONEDL = ('onedl-mmsegmentation', 'onedl-mmcv', 'onedl-mmengine')
OPENMMLAB = ('mmsegmentation', 'mmcv', 'mmengine')
_OTHERS = ('mmcv-lite', 'torch', 'numpy', 'setuptools', 'ftfy', 'regex')
_INSTALL = 'pip install "mmaslp[onedl]"'


def installed_versions() -> dict[str, str]:
    """Versions of the installed packages that matter, by distribution."""
    versions = {}
    for name in (*ONEDL, *OPENMMLAB, *_OTHERS):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def check_environment(versions: Mapping[str, str], ops: bool) -> list[Finding]:
    """Check a set of packages."""
    onedl = [name for name in ONEDL if name in versions]
    openmmlab = [n for n in (*OPENMMLAB, 'mmcv-lite') if n in versions]
    if onedl and openmmlab:
        names = ' '.join(onedl + openmmlab)
        return [
            Finding(
                'error',
                'two distributions of MMSegmentation lie over each other '
                f'({names}): what is imported is a mixture',
                f'pip uninstall -y {names}\n{_INSTALL}',
            )
        ]
    needed = ONEDL if onedl else OPENMMLAB
    missing = [name for name in needed if name not in versions]
    if 'mmcv' in missing and 'mmcv-lite' in versions:
        missing.remove('mmcv')
    if missing:
        part = 'not installed' if len(missing) == 3 else 'incomplete'
        extra = 'onedl' if onedl or len(missing) == 3 else 'openmmlab'
        return [
            Finding(
                'error',
                f'MMSegmentation is {part}: {", ".join(missing)} not found',
                f'pip install "mmaslp[{extra}]"',
            )
        ]
    shown = (*ONEDL, *OPENMMLAB, 'mmcv-lite', 'torch', 'numpy')
    found = ', '.join(f'{n} {versions[n]}' for n in shown if n in versions)
    findings = [Finding('ok', f'MMSegmentation: {found}'), _ops(ops, bool(onedl))]
    findings += _onedl(versions) if onedl else _openmmlab(versions)
    return findings


def has_ops() -> bool:
    """Whether mmcv's compiled operators are installed."""
    return find_spec('mmcv') is not None and find_spec('mmcv._ext') is not None


def _ops(ops: bool, onedl: bool) -> Finding:
    if ops:
        return Finding('ok', "mmcv's compiled operators are there")
    if onedl:
        return Finding(
            'note',
            'mmcv has no compiled operators: heads that need them (PointRend, PSANet, '
            'CCNet, ...) do not work, all others do',
            'mim install onedl-mmcv  (a wheel with operators, for your torch)',
        )
    return Finding(
        'error',
        "mmcv has no compiled operators, without which OpenMMLab's mmseg.models "
        'cannot be imported',
        'MMCV_WITH_OPS=1 pip install --no-build-isolation mmcv==2.1.0',
    )


def _onedl(versions: Mapping[str, str]) -> list[Finding]:
    if _number(versions.get('numpy', '2')) < (2,):
        return [
            Finding(
                'error',
                f'OneDL needs numpy 2, found {versions["numpy"]}',
                'pip install "numpy>=2"',
            )
        ]
    return []


def _openmmlab(versions: Mapping[str, str]) -> list[Finding]:
    findings = []
    mmcv = versions.get('mmcv') or versions['mmcv-lite']
    if _number(mmcv) >= (2, 2):
        findings.append(
            Finding(
                'error',
                f'mmsegmentation {versions["mmsegmentation"]} refuses mmcv {mmcv} '
                'when it is imported (it asserts mmcv < 2.2.0)',
                'pip install mmcv==2.1.0',
            )
        )
    lacking = [name for name in ('ftfy', 'regex') if name not in versions]
    if lacking:
        findings.append(
            Finding(
                'error',
                f'mmseg.models imports {" and ".join(lacking)}, which mmsegmentation '
                'does not install',
                f'pip install {" ".join(lacking)}',
            )
        )
    old_engine = _number(versions['mmengine']) < (0, 11)
    if old_engine and _number(versions.get('torch', '0')) >= (2, 6):
        findings.append(
            Finding(
                'note',
                f'mmengine {versions["mmengine"]} alone cannot load its own '
                f'checkpoints with torch {versions["torch"]}; importing mmaslp mends '
                'that for --resume and tests, and keeps the loading safe',
                "custom_imports = dict(imports=['mmaslp'])",
            )
        )
    if old_engine and _number(versions.get('setuptools', '0')) >= (82,):
        findings.append(
            Finding(
                'warning',
                f'setuptools {versions["setuptools"]} has no pkg_resources, which '
                f'mmengine {versions["mmengine"]} needs for mim and _base_ = '
                "['mmseg::...']",
                'pip install "setuptools<82"',
            )
        )
    return findings


def _number(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.split('+')[0].split('.'):
        if not part.isdigit():
            break
        parts.append(int(part))
    return tuple(parts)
