"""The page in a browser: accessibility, width, keyboard, policy.

Needs Chromium or Chrome, and ``pip install -e '.[browser]'``.
"""

import shutil
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from mmaslp import fit_calibrator
from mmaslp.report.page import report_html
from mmaslp.report.review_page import write_review_page
from mmaslp.report.views import views_of
from mmaslp.workflows.review import ReviewOptions, review_maps
from mmaslp.workflows.suspects import find_suspects
from tests.test_calibration.object_scenes import discs, write_scenes

from . import sections as helper

FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking']
AXE = """async () => {
  const {violations} = await axe.run(document, {resultTypes: ['violations']});
  return violations.map(each => `${each.id}: ${each.nodes[0].html.slice(0, 200)}`);
}"""

# By how much each table of a report is wider than its place.
CUT_OFF = """() => [...document.querySelectorAll('.rows')].map(
  each => each.scrollWidth - each.clientWidth)"""

# Numbers that stand without the name of their column, where headings are not shown.
NAMELESS = """() => [...document.querySelectorAll('tbody td')].filter(each =>
  getComputedStyle(each.closest('table').tHead).display == 'none'
  && ['none', '""'].includes(getComputedStyle(each, '::before').content)).length"""

pytestmark = pytest.mark.release


@pytest.fixture(scope='module')
def address(tmp_path_factory):
    options = dict(number=3)
    results = [
        helper.result('<b>A', gain=0.6, **options),
        helper.result('B', gain=2.0, **options),
        helper.result('B', 'other', seed=1, number=3),
    ]
    path = tmp_path_factory.mktemp('page') / 'report.html'
    path.write_text(report_html(results, resamples=20), encoding='utf-8')
    return f'file://{path}'


@pytest.fixture(scope='module')
def browser():
    chromium = shutil.which('chromium') or shutil.which('google-chrome')
    if not (
        chromium and find_spec('playwright') and find_spec('axe_playwright_python')
    ):
        pytest.skip('needs chromium, playwright and axe-playwright-python')
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        opened = tool.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope='module')
def review(tmp_path_factory):
    root = tmp_path_factory.mktemp('review')
    scenes = [discs(k) for k in range(40)]
    calibrator = fit_calibrator(*zip(*scenes))
    maps, masks = write_scenes(root / 'test', 12, first=500)
    (maps / '<b>odd.png').write_bytes((maps / '500.png').read_bytes())
    (masks / '<b>odd.png').write_bytes((masks / '500.png').read_bytes())
    extras = {
        'views': partial(views_of, {}, with_labels=True),
        'suspects': find_suspects,
    }
    rows = review_maps(calibrator, maps, masks, options=ReviewOptions(extras=extras))
    calibrator.save(root / 'c.json')
    options = dict(calibrator_file=root / 'c.json', verdict='A notice.', alarm=True)
    write_review_page(root / 'review.html', rows, calibrator, **options)
    return f'file://{root / "review.html"}'


@pytest.mark.parametrize('name', ['address', 'review'])
@pytest.mark.parametrize(('width', 'scheme'), [(1440, 'light'), (390, 'dark')])
def test_no_violation_no_error_no_request_nothing_cut_off(
    browser, request, name, width, scheme
):
    address = request.getfixturevalue(name)
    size = {'width': width, 'height': 900}
    page = browser.new_page(viewport=size, color_scheme=scheme, bypass_csp=True)
    errors, asked = [], set()
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.on('request', lambda request: asked.add(request.url[:5]))
    page.goto(address)
    folder = Path(find_spec('axe_playwright_python').origin).parent
    page.add_script_tag(path=next(folder.rglob('axe.min.js')))
    page.evaluate('document.querySelectorAll("details").forEach(e => e.open = true)')
    assert page.evaluate(AXE) == []
    assert page.evaluate('document.documentElement.scrollWidth - innerWidth') <= 0
    assert not any(page.evaluate(CUT_OFF))
    assert page.evaluate(NAMELESS) == 0
    assert errors == []
    assert asked <= {'file:', 'data:'}


def test_links_within_a_review_reach_their_place(browser, review):
    page = browser.new_page(viewport={'width': 390, 'height': 700})
    page.goto(review)
    for link in page.query_selector_all('nav a'):
        page.evaluate('scrollTo({top: 0, behavior: "instant"})')
        link.click()
        page.wait_for_timeout(1500)
        end = 'document.documentElement.scrollHeight - innerHeight - scrollY'
        top = page.evaluate(
            f'document.querySelector("{link.get_attribute("href")}")'
            '.getBoundingClientRect().top'
        )
        assert abs(top) < 20 or page.evaluate(end) < 2


def test_a_review_is_read_with_the_keyboard(browser, review):
    page = browser.new_page(viewport={'width': 390, 'height': 700})
    page.goto(review)
    page.keyboard.press('Tab')
    assert page.evaluate('document.activeElement.textContent') == 'Skip to the images'
    links = [link.inner_text() for link in page.query_selector_all('#efforts a')]
    assert links[0] == '1 of 13'
    page.keyboard.press('ArrowRight')  # from image to image
    page.keyboard.press('ArrowRight')
    page.keyboard.press('ArrowLeft')
    page.keyboard.press('ArrowRight')
    assert page.evaluate('document.activeElement.id') == 'image-2'
    page.keyboard.press('Tab')
    page.keyboard.press('Enter')  # the picture of this image
    second = page.text_content('dialog figcaption')
    assert second == page.get_attribute('#image-2 img', 'alt')
    page.keyboard.press('ArrowRight')  # within the dialog
    assert page.text_content('dialog figcaption') != second
    page.keyboard.press('Escape')
    page.keyboard.press('Tab')
    label = page.evaluate('document.activeElement.getAttribute("aria-label")')
    assert label == 'Objects of image 2'  # a table that scrolls


def test_objects_of_a_review_are_sorted(browser, review):
    page = browser.new_page()
    page.goto(review)
    for column in (3, 4):
        cells = f'#objects tbody tr td:nth-child({column})'
        page.focus(f'#objects thead th:nth-child({column}) button')
        page.keyboard.press('Enter')
        values = [
            float(each.get_attribute('data-sort'))
            for each in page.query_selector_all(cells)
        ]
        assert values == sorted(values)
        assert values[0] < values[-1]
    assert len(page.pdf()) > 10_000


def test_keyboard_and_policy(browser, address):
    page = browser.new_page()  # with the page's policy, which admits its own script
    page.goto(address)
    cells = 'main > .rows tbody tr td:nth-child(4)'
    found = []
    for _ in range(2):
        page.focus('main > .rows thead th:nth-child(4) button')
        page.keyboard.press('Enter')
        found.append(
            [
                float(e.get_attribute('data-sort'))
                for e in page.query_selector_all(cells)
            ]
        )
    assert len(found[0]) == 3
    assert found[0] == sorted(found[0]) == found[1][::-1]
    assert 'B' in page.text_content('main > p.verdict')
    page.evaluate(
        """() => {
          const script = document.createElement('script');
          script.textContent = 'window.ran = true';
          document.body.append(script);
        }"""
    )
    assert page.evaluate('window.ran === undefined')
    assert len(page.pdf()) > 10_000
