"""The files around the package say what is so."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from mmaslp.version import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pytest needs it there

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text('utf-8'))['project']
EXTRAS = set(PROJECT['optional-dependencies'])
TARGETS = set(
    re.findall(r'^([a-z][a-z-]*):', (ROOT / 'Makefile').read_text('utf-8'), re.M)
)
WORKFLOWS = sorted((ROOT / '.github' / 'workflows').glob('*.yml'))
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted(ROOT.glob('docs/*.md'))]


def read(name):
    return (ROOT / name).read_text('utf-8')


def parse(path):
    return yaml.safe_load(path.read_text('utf-8'))


def name_of(path):
    return path.name


def commands(workflow):
    """The shell commands of all steps."""
    steps = [step for job in workflow['jobs'].values() for step in job['steps']]
    return '\n'.join(step.get('run', '') for step in steps)


def test_the_changelog_begins_with_this_version():
    versions = re.findall(r'^## \[(.+?)\]', read('CHANGELOG.md'), re.M)
    assert versions[0] == __version__
    numbers = [tuple(map(int, version.split('.'))) for version in versions]
    assert numbers == sorted(numbers, reverse=True)


def test_the_citation_is_of_this_version_and_names_the_paper():
    citation = parse(ROOT / 'CITATION.cff')
    needed = {'cff-version', 'message', 'title', 'authors'}
    assert needed <= citation.keys()
    assert citation['version'] == __version__
    assert citation['license'] == PROJECT['license']
    paper = citation['preferred-citation']
    assert (needed | {'type', 'year'}) - {'cff-version', 'message'} <= paper.keys()
    assert paper['url'] == PROJECT['urls']['Paper']
    assert all({'family-names', 'given-names'} <= a.keys() for a in paper['authors'])


@pytest.mark.parametrize('path', WORKFLOWS, ids=name_of)
def test_a_workflow_runs_targets_that_exist(path):
    workflow = parse(path)
    assert workflow['permissions'] == {'contents': 'read'}
    assert all('timeout-minutes' in job for job in workflow['jobs'].values())
    used = re.findall(r'\bmake ([a-z-]+)', commands(workflow))
    assert used
    assert set(used) <= TARGETS


def test_the_tests_run_on_every_python_that_is_promised():
    matrix = parse(ROOT / '.github/workflows/tests.yml')['jobs']['onedl']['strategy']
    pythons = matrix['matrix']['python']
    prefix = 'Programming Language :: Python :: 3.'
    named = [c for c in PROJECT['classifiers'] if c.startswith(prefix)]
    assert [f'3.{c.removeprefix(prefix)}' for c in named] == pythons
    assert PROJECT['requires-python'] == f'>={pythons[0]}'


def test_ci_and_phony_name_targets_that_exist():
    lines = re.findall(r'^ *make (.+)$', read('.ci/run'), re.M)
    ci = {word for line in lines for word in line.split() if not word.startswith('-')}
    assert {'lint', 'test', 'wheel-test', 'docs'} <= ci <= TARGETS
    phony = re.search(r'^\.PHONY: (.+)$', read('Makefile'), re.M)[1].split()
    assert set(phony) == TARGETS


@pytest.mark.parametrize('path', PAGES, ids=name_of)
def test_a_page_names_extras_and_targets_that_exist(path):
    text = path.read_text('utf-8')
    lists = re.findall(r'(?:mmaslp|\.)\[([a-z,]+)\]["\' ]', text)
    assert {extra for found in lists for extra in found.split(',')} <= EXTRAS
    assert set(re.findall(r'`make ([a-z-]+)[` ]', text)) <= TARGETS
    assert set(re.findall(r'^    make ([a-z-]+)', text, re.M)) <= TARGETS


def test_the_installation_names_every_extra():
    table = read('docs/index.md').partition('## Install')[2].partition('##')[0]
    assert set(re.findall(r'`([a-z]+)`(?=[ ,])', table)) >= EXTRAS


def test_the_model_index_lists_every_config_once():
    index = parse(ROOT / 'model-index.yml')
    listed = []
    for metafile in index['Import']:
        content = parse(ROOT / metafile)
        collections = {item['Name'] for item in content['Collections']}
        for model in content['Models']:
            assert model['In Collection'] in collections
            assert model['Config'].startswith(str(Path(metafile).parent))
            listed.append(model['Config'])
    configs = [p for p in ROOT.glob('configs/*/*.py') if p.parent.name != '_base_']
    there = [str(p.relative_to(ROOT)) for p in configs]
    assert sorted(listed) == sorted(there)


def test_every_guarantee_has_a_test():
    page = read('tests/guarantees.md')
    listed = re.findall(r'`(tests/[\w/]+\.py)(?:::(\w+))?`', page)
    assert len(listed) > 30
    missing = [
        f'{path}::{name}'
        for path, name in listed
        if not (ROOT / path).is_file()
        or (name and f'def {name}(' not in (ROOT / path).read_text('utf-8'))
    ]
    assert not missing
