"""The installed packages: which MMSegmentation there is, and what it lacks."""

from collections.abc import Mapping
from importlib.metadata import distributions

from ..integrations.mmseg.checks.findings import Finding

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
