"""What is found in a set of installed packages."""

import pytest

from mmaslp.hosts.mmseg.checks.environment import check_environment

ONEDL = {
    'onedl-mmsegmentation': '1.4.2',
    'onedl-mmcv': '2.3.6',
    'onedl-mmengine': '0.10.12',
    'torch': '2.13.0+cpu',
    'numpy': '2.3.4',
    'setuptools': '84.2.1',
}
OPENMMLAB = {
    'mmsegmentation': '1.2.2',
    'mmcv': '2.1.0',
    'mmengine': '0.10.7',
    'torch': '2.5.1',
    'numpy': '1.26.4',
    'setuptools': '81.0.0',
    'ftfy': '6',
    'regex': '2024',
}


def levels(findings):
    return [finding.level for finding in findings]


@pytest.mark.parametrize('versions', [ONEDL, OPENMMLAB])
def test_sound_host(versions):
    findings = check_environment(versions, ops=True)
    assert levels(findings) == ['ok', 'ok']
    assert next(iter(versions)) in findings[0].message


@pytest.mark.parametrize(
    ('versions', 'changes', 'ops', 'level', 'words', 'remedy'),
    [
        ({}, {}, True, 'error', 'MMSegmentation is not installed', 'mmaslp[onedl]'),
        (
            ONEDL,
            {'onedl-mmcv': None},
            True,
            'error',
            'incomplete: onedl-mmcv',
            'mmaslp[onedl]',
        ),
        (
            OPENMMLAB,
            {'mmengine': None},
            True,
            'error',
            'incomplete: mmengine',
            'mmaslp[openmmlab]',
        ),
        (
            ONEDL,
            {'mmengine': '0.10.7'},
            True,
            'error',
            'over each other',
            'pip uninstall -y onedl-mmsegmentation onedl-mmcv onedl-mmengine mmengine',
        ),
        (ONEDL, {'numpy': '1.26.4'}, True, 'error', 'numpy 2', 'numpy>=2'),
        (ONEDL, {}, False, 'note', 'no compiled operators', 'mim install'),
        (OPENMMLAB, {}, False, 'error', 'no compiled operators', 'MMCV_WITH_OPS'),
        (OPENMMLAB, {'mmcv': '2.2.0'}, True, 'error', 'asserts', 'mmcv==2.1.0'),
        (OPENMMLAB, {'ftfy': None}, True, 'error', 'imports ftfy', 'install ftfy'),
        (OPENMMLAB, {'torch': '2.6.0'}, True, 'note', 'checkpoints', 'custom_imp'),
        (
            OPENMMLAB,
            {'setuptools': '82.0.0'},
            True,
            'warning',
            'pkg_resources',
            'setuptools<82',
        ),
    ],
)
def test_known_incompatibilities(versions, changes, ops, level, words, remedy):
    versions = {k: v for k, v in {**versions, **changes}.items() if v is not None}
    findings = [f for f in check_environment(versions, ops) if f.level != 'ok']
    assert levels(findings) == [level]
    assert words in findings[0].message and remedy in findings[0].remedy
