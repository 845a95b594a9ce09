"""A release links its metadata to the repository that builds it."""

import shutil
from importlib.util import module_from_spec, spec_from_file_location

import pytest
import yaml

from tests.test_project import ROOT, tomllib

URL = 'https://example.org/someone/mmaslp'


@pytest.fixture
def link():
    file = ROOT / 'tests' / 'packaging' / 'link_project.py'
    spec = spec_from_file_location('link_project', file)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.link


def test_a_release_links_homepage_source_documentation_issues_changelog(tmp_path, link):
    for name in ('pyproject.toml', 'CITATION.cff'):
        shutil.copy(ROOT / name, tmp_path)
    link(tmp_path, URL)
    project = tomllib.loads((tmp_path / 'pyproject.toml').read_text('utf-8'))['project']
    assert set(project['urls']) == {
        'Changelog',
        'Documentation',
        'Homepage',
        'Issues',
        'Paper',
        'Source',
    }
    for name, url in project['urls'].items():
        place = url.removeprefix(f'{URL}/blob/main/')
        assert name == 'Paper' or url.startswith(URL)
        assert place == url or (ROOT / place).exists()
    citation = yaml.safe_load((tmp_path / 'CITATION.cff').read_text('utf-8'))
    assert citation['repository-code'] == URL
    with pytest.raises(ValueError, match='linked already'):
        link(tmp_path, URL)


def test_the_release_links_before_it_builds_what_it_publishes():
    text = (ROOT / '.github/workflows/release.yml').read_text('utf-8')
    steps = ('link_project.py', 'make wheel-test', 'upload-artifact', 'gh-action-pypi')
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
