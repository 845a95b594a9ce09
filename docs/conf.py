"""The site of the documentation: ``make docs`` builds it into ``build/docs``."""

import re
import shutil
import sys
from pathlib import Path

from docutils.nodes import SkipNode
from latex2mathml.converter import convert
from sphinx.util import logging

logger = logging.getLogger(__name__)

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import public_api  # noqa: E402
import write_api  # noqa: E402

from mmaslp.version import __version__  # noqa: E402

PAGES = public_api.documented()
API_PAGES = ('index.md', *write_api.PAGES.values())

project = 'mmaslp'
author = 'the authors of mmaslp'
release = version = __version__
html_title = f'mmaslp {release}'
html_theme = 'furo'
html_show_copyright = html_show_sphinx = False
html_copy_source = False
html_favicon = 'images/favicon.svg'
html_math_renderer = 'mathml'  # of browsers: neither a script nor a font is fetched
html_search_scorer = str(HERE / 'scorer.js')  # the guide comes before the reference
html_static_path = ['_static']
html_css_files = ['pages.css']

extensions = [
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.autosummary',
    'sphinx.ext.napoleon',
    'sphinx_copybutton',
]
templates_path = ['_templates']
# Of docs/api, which GitHub shows, the site takes the commands: it has a reference of
# its own. Builds of earlier versions left .rst there.
exclude_patterns = ['_templates', 'api/*.rst', *(f'api/{name}' for name in API_PAGES)]

myst_enable_extensions = ['attrs_inline', 'colon_fence']
myst_heading_anchors = 3
highlight_language = 'none'  # of blocks that name none: commands and their output
copybutton_exclude = '.linenos, .gp, .go'

autosummary_context = {'pages': PAGES}
autodoc_typehints = 'none'  # the docstrings name the types
autodoc_member_order = 'bysource'
napoleon_use_rtype = False


def write_api_pages(app, config):
    """Write the index of the modules afresh; autosummary makes a page for each."""
    folder = HERE / 'reference'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    text = public_api.index(PAGES)
    (folder / 'index.rst').write_text(text, encoding='utf-8')


def check_api_pages(app, env):
    """Fail if a public name is on no page of the reference."""
    known = env.get_domain('py').objects
    for module, page in PAGES.items():
        for name, *_ in page['own']:
            if f'{module}.{name}' not in known:
                logger.warning('no page documents %s.%s', module, name)


def offer_files_of_the_repository(app, docname, source):
    """Make links to Markdown outside of the site downloads, as other files are."""
    page = HERE / docname

    def link(match):
        outside = HERE not in (page.parent / match[1]).resolve().parents
        return f'](path:{match[1]})' if outside else match[0]

    # A file that is downloaded has no headings to go to.
    source[0] = re.sub(r'\]\((\.\./[^)#]*\.md)(?:#[^)]*)?\)', link, source[0])


def link_to_the_reference(app, docname, source):
    """Let links to the Markdown of the reference lead to that of the site."""
    source[0] = re.sub(r'\]\(api/index\.md\)', '](reference/index.rst)', source[0])


def show_dark_pictures(app, docname, source):
    """Add its dark form to each picture that has one; the theme shows one of them."""
    page = HERE / docname

    def both(match):
        dark = re.sub(r'(\.\w+)$', r'_dark\1', match[2])
        if not (page.parent / dark).exists():
            return match[0]
        light = f'![{match[1]}]({match[2]}){{.only-light}}'
        return f'{light}\n![{match[1]}]({dark}){{.only-dark}}'

    source[0] = re.sub(r'!\[([^\]]*)\]\(([^)]+)\)', both, source[0])


def write_formula(self, node):
    """Write a formula as MathML."""
    block = 'block' if node.tagname == 'math_block' else 'inline'
    self.body.append(convert(node.astext(), display=block))
    raise SkipNode


# What the theme leaves out for those who listen to a page or use the keyboard alone.
ACCESSIBLE = (
    ('<p class="caption" role="heading">', '<p class="caption">'),
    (
        '<aside class="sidebar-drawer">',
        '<aside class="sidebar-drawer" aria-label="All pages">',
    ),
    ('<aside class="toc-drawer', '<aside aria-label="This page" class="toc-drawer'),
    ('<pre>', '<pre tabindex="0">'),
    ('<div class="table-wrapper', '<div tabindex="0" class="table-wrapper'),
    ('display="block">', 'display="block" tabindex="0">'),
    ('<div id="search-results">', '<h1>Search</h1><div id="search-results">'),
)


def make_accessible(app, error):
    """Mend the finished pages."""
    for path in Path(app.outdir).rglob('*.html'):
        text = path.read_text(encoding='utf-8')
        for old, new in ACCESSIBLE:
            text = text.replace(old, new)
        path.write_text(text, encoding='utf-8')


def setup(app):
    """Connect the pages of the reference to the build."""
    visitors = (write_formula, None)
    app.add_html_math_renderer('mathml', visitors, visitors)
    app.connect('source-read', link_to_the_reference)
    app.connect('source-read', show_dark_pictures)
    app.connect('build-finished', make_accessible)
    app.connect('config-inited', write_api_pages)  # before Sphinx looks for sources
    app.connect('source-read', offer_files_of_the_repository)
    app.connect('env-updated', check_api_pages)
