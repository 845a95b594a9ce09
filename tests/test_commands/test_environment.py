"""What is found in a set of installed packages."""

import pytest

from mmaslp.commands.environment import check_environment

ONEDL = {
    'onedl-mmsegmentation': '1.4.2',
    'onedl-mmcv': '2.3.6',
    'onedl-mmengine': '0.10.12',
    'torch': '2.13.0+cpu',
    'numpy': '2.3.4',
}
OPENMMLAB = {
    'mmsegmentation': '1.2.2',
    'mmcv': '2.1.0',
    'mmengine': '0.10.7',
    'torch': '2.5.1',
    'numpy': '1.26.4',
}


@pytest.mark.parametrize(
    ('versions', 'changes', 'ops', 'level', 'words', 'remedy'),
    [
        (ONEDL, {}, True, None, '', ''),
        (OPENMMLAB, {}, True, None, '', ''),
        ({}, {}, True, 'note', 'MMSegmentation is not installed', 'mmaslp[onedl]'),
        (
            ONEDL,
            {'mmengine': '0.10.7'},
            True,
            'error',
            'over each other',
            'pip uninstall -y onedl-mmsegmentation onedl-mmcv onedl-mmengine mmengine',
        ),
        (ONEDL, {}, False, 'note', 'no compiled operators', '--no-binary'),
        (OPENMMLAB, {}, False, 'error', 'no compiled operators', 'MMCV_WITH_OPS'),
    ],
)
def test_installed_packages(versions, changes, ops, level, words, remedy):
    found = check_environment({**versions, **changes}, ops)
    findings = [finding for finding in found if finding.level != 'ok']
    assert [finding.level for finding in findings] == ([level] if level else [])
    for finding in findings:
        assert words in finding.message
        assert remedy in finding.remedy
