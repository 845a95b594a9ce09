"""The reference of the Python API and the examples in docstrings."""

import doctest
import importlib
import inspect
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / 'docs'


@pytest.fixture(scope='module')
def public_api():
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module('public_api')
    finally:
        sys.path.remove(str(DOCS))


def test_every_public_name_is_on_one_page(public_api):
    modules = public_api.public_modules()
    assert {'mmaslp', 'mmaslp.metrics', 'mmaslp.report'} <= set(modules)
    pages = public_api.documented()
    places = [
        f'{module}.{name}' for module, page in pages.items() for name, *_ in page['own']
    ]
    assert len(places) == len(set(places))
    values = {id(public_api.value_of(place)) for place in places}
    for module, names in modules.items():
        for name in names:
            assert id(public_api.value_of(f'{module}.{name}')) in values, (module, name)
    for page in pages.values():
        assert {place for _, place in page['other']} <= set(places)


def test_every_page_is_in_the_index(public_api):
    pages = public_api.documented()
    index = public_api.index(pages).split()
    assert set(pages) <= set(index)


@pytest.mark.parametrize('page', ['index', 'pytorch', 'toolkits', 'config', 'files'])
def test_the_reference_is_that_of_today(public_api, page):
    """Else run `python docs/write_api.py`."""
    for toolkit in ('mmseg', 'lightning', 'torchmetrics', 'transformers'):
        pytest.importorskip(toolkit)
    made = importlib.import_module('write_api').pages()[f'{page}.md']
    assert made == (DOCS / 'api' / f'{page}.md').read_text(encoding='utf-8')


def test_examples_of_docstrings(public_api):
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    said = []
    for module, page in public_api.documented().items():
        for name, directive, _ in page['own']:
            value = public_api.value_of(f'{module}.{name}')
            if directive == 'py:data' or '>>>' not in inspect.getsource(value):
                continue
            home = sys.modules[value.__module__]
            for test in finder.find(value, name, home, vars(home).copy()):
                runner.run(test, out=said.append)
    assert not runner.failures, ''.join(said)
    assert runner.tries > 40
