"""The installed packages: which MMSegmentation there is, and what it lacks."""

from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from ..integrations.mmseg.checks.findings import Finding

ONEDL = ('onedl-mmsegmentation', 'onedl-mmcv', 'onedl-mmengine')
OPENMMLAB = ('mmsegmentation', 'mmcv', 'mmcv-lite', 'mmengine')
_INSTALL = 'pip install "mmaslp[onedl]"'


def installed_versions() -> dict[str, str]:
    """Versions of the installed packages that matter, by distribution."""
    versions = {}
    for name in (*ONEDL, *OPENMMLAB, 'torch', 'numpy'):
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def check_environment(versions: Mapping[str, str], ops: bool) -> list[Finding]:
    """Check a set of packages; what else is wrong MMSegmentation says by itself."""
    onedl = [name for name in ONEDL if name in versions]
    openmmlab = [name for name in OPENMMLAB if name in versions]
    if not onedl and not openmmlab:
        text = (
            'MMSegmentation is not installed; maps, calibrators and PyTorch work, '
            'training and testing of configs do not'
        )
        return [Finding('note', text, _INSTALL)]

    findings = []
    if onedl and openmmlab:
        names = ' '.join(onedl + openmmlab)
        text = (
            'two distributions of MMSegmentation are installed over each other '
            f'({names}): what is imported is a mixture'
        )
        advice = f'pip uninstall -y {names}\n{_INSTALL}'
        findings.append(Finding('error', text, advice))
    else:
        packages = ', '.join(f'{name} {number}' for name, number in versions.items())
        findings.append(Finding('ok', f'MMSegmentation: {packages}', ''))

    if onedl and not ops:
        text = (
            'mmcv has no compiled operators: heads that need them (PointRend, PSANet, '
            'CCNet, ...) do not work, all others do'
        )
        advice = (
            'pip install --no-deps --no-build-isolation --force-reinstall --no-binary '
            'onedl-mmcv onedl-mmcv  (compiles them)'
        )
        findings.append(Finding('note', text, advice))
    if openmmlab and not ops:
        text = (
            "mmcv has no compiled operators, without which OpenMMLab's mmseg.models "
            'cannot be imported'
        )
        advice = 'MMCV_WITH_OPS=1 pip install --no-build-isolation mmcv==2.1.0'
        findings.append(Finding('error', text, advice))
    return findings
