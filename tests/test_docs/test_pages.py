"""The pages of docs/ and the README: links, quoted messages, examples, the drawing."""

import ast
import doctest
import re
from pathlib import Path

import pytest

from tests.test_layout import ROOMS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / 'docs'
PACKAGE = ROOT / 'mmaslp'
PAGES = [ROOT / 'README.md', *sorted(DOCS.rglob('*.md'))]
# The reference repeats docstrings, whose examples test_api.py runs.
GUIDE = [path for path in PAGES if path.parent != DOCS / 'api']
LINK = re.compile(r'(?<!\\)\]\((?!https?://|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)')
HEADING = re.compile(r'^#+ (.+)$', re.MULTILINE)
FENCE = re.compile(r'^```.*?^```$', re.MULTILINE | re.DOTALL)


def page_id(path):
    return str(path.relative_to(ROOT))


def anchors(path):
    """Anchors of the headings of a page, as GitHub and MyST make them."""
    headings = HEADING.findall(FENCE.sub('', path.read_text(encoding='utf-8')))
    kept = (re.sub(r'[^\w\- ]', '', heading.lower()) for heading in headings)
    return {heading.replace(' ', '-') for heading in kept}


@pytest.mark.parametrize('path', PAGES, ids=page_id)
def test_relative_links_lead_somewhere(path):
    text = FENCE.sub('', path.read_text(encoding='utf-8'))
    for target, anchor in LINK.findall(text):
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), f'{target} is not there'
        if anchor and there.suffix == '.md':
            assert anchor in anchors(there), f'{target} has no heading #{anchor}'


def test_every_picture_is_shown():
    shown = ''.join(path.read_text(encoding='utf-8') for path in PAGES)
    shown += (DOCS / 'conf.py').read_text(encoding='utf-8')
    pictures = {path.name for path in (DOCS / 'images').iterdir()}
    light = {re.sub(r'_dark(?=\.)', '', name) for name in pictures}
    assert light <= pictures
    assert not {name for name in light if name not in shown}


def test_the_results_of_the_readme_are_those_of_the_page():
    def rows(path):
        lines = path.read_text(encoding='utf-8').splitlines()
        cells = [line.replace('*', '').strip('|').split('|') for line in lines]
        # A cell of a page may hold two figures.
        return [', '.join(map(str.strip, each[1:])) for each in cells if len(each) > 2]

    figures = [row for row in rows(PAGES[0]) if re.match(r'\.\d', row)]
    assert len(figures) >= 3
    pages = (DOCS / 'results.md', DOCS / 'levels.md')
    found = ''.join(f'\n{row},' for page in pages for row in rows(page))
    assert not [row for row in figures if f'\n{row},' not in found]


def source_texts():
    """Every string of the package, … for the values that are put into it."""

    def text(node):
        if isinstance(node, ast.JoinedStr):
            return ''.join(text(value) or '…' for value in node.values)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return (text(node.left) or '…') + (text(node.right) or '…')
        return node.value if isinstance(getattr(node, 'value', None), str) else ''

    trees = (ast.parse(path.read_text('utf-8')) for path in PACKAGE.rglob('*.py'))
    return {text(node) for tree in trees for node in ast.walk(tree)}


def test_quoted_messages_are_those_of_the_package():
    page = (DOCS / 'troubleshooting.md').read_text(encoding='utf-8')
    quoted = re.findall(r'^### `(.+)`$', page, re.MULTILINE)
    assert len(quoted) > 5
    said = source_texts()

    def is_said(message):
        # A reader puts the path before what is wrong.
        parts = map(re.escape, message.removeprefix('…: ').split('…'))
        pattern = re.compile('.*'.join(parts), re.DOTALL)
        return any(pattern.fullmatch(text.removeprefix('…: ')) for text in said)

    assert not [message for message in quoted if not is_said(message)]


def test_the_drawing_agrees_with_the_tree():
    drawing = (DOCS / 'images' / 'architecture.svg').read_text(encoding='utf-8')
    drawn = set(re.findall(r'data-module="([^"]+)"', drawing))
    missing = {name for name in drawn if not (PACKAGE / name).exists()}
    assert not missing, f'drawn, but not there: {missing}'
    rooms = {path.name for path in PACKAGE.iterdir() if (path / '__init__.py').exists()}
    left_out = rooms - {name.split('/')[0] for name in drawn}
    assert not left_out, f'not drawn: {left_out}'
    # Imports go down, in the drawing as in the layers.
    heights = re.findall(r'data-module="([^"./]+).*? y="(\d+)"', drawing)
    ranks = {(int(height), -ROOMS.index(room)) for room, height in heights}
    assert [rank for _, rank in sorted(ranks)] == sorted(rank for _, rank in ranks)


def examples(path):
    return re.findall(r'^```pycon\n(.*?)^```$', path.read_text('utf-8'), re.M | re.S)


@pytest.mark.parametrize(
    'path', [path for path in GUIDE if examples(path)], ids=page_id
)
def test_examples_of_pages(path):
    text = '\n'.join(examples(path))
    for library in re.findall(r'^>>> from (torchmetrics|sklearn|monai)', text, re.M):
        pytest.importorskip(library)
    parser = doctest.DocTestParser()
    test = parser.get_doctest(text, {}, path.name, str(path), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    said = []
    runner.run(test, out=said.append)
    assert not runner.failures, ''.join(said)


def test_the_front_door_is_short():
    """A formatter of its code may make it longer unseen."""
    lines = (ROOT / 'README.md').read_text(encoding='utf-8').splitlines()
    assert len(lines) <= 110
    assert max(map(len, lines)) <= 120
    guide = [path for path in GUIDE if path.parent == DOCS]
    assert (
        sum(len(path.read_text(encoding='utf-8').split()) for path in guide) <= 13_000
    )
