r"""Write docs/api/*.md, the reference of the Python API, from the docstrings.

    python docs/write_api.py

GitHub shows these pages as they are; the site makes its own of the same docstrings, and
of the modules inside of the package too.
"""

import inspect
import re
from collections.abc import Callable, Iterable
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import public_api

from mmaslp.metrics import Metric

FOLDER = Path(__file__).resolve().parent / 'api'
PACKAGE = public_api.PACKAGE

# What people call of rooms that are otherwise for those who change the package.
ALSO = {
    'Plain PyTorch': ('augmentation.windows',),
    'Files, results and pictures': (
        'evaluation.evaluator',
        'evaluation.result',
        'evaluation.comparison',
    ),
}
# Of the last group: what README, docs and examples import.
FILES = (
    'workflows',
    'files.map_pairs',
    'files.prob_maps',
    'files.reviews',
    'files.stored_maps',
    'files.coco',
    'report.page',
)
# The module of nnU-Net has trainers, which no code calls, and needs nnU-Net.
TOOLKITS = tuple(
    f'integrations.{name}' for name in ('lightning', 'torchmetrics', 'transformers')
)
STARTS = {
    **public_api.GROUPS,
    'Other toolkits': TOOLKITS,
    'Files, results and pictures': FILES,
}
PAGES = {
    'Plain PyTorch': 'pytorch.md',
    'Other toolkits': 'toolkits.md',
    'Components of a config': 'config.md',
    'Files, results and pictures': 'files.md',
}

ITEMS = ('Args', 'Attributes', 'Raises', 'Returns', 'Yields')
SECTION = re.compile(r'^(Args|Attributes|Raises|Returns|Yields|Shape|Example):$')
ITEM = re.compile(r'^(\S.*?)(?: \((.*)\))?: (.*)$')
TYPED = re.compile(r'^([\w\[\], |.]+): (.*)$')
# Members that are read as attributes.
PROPERTIES = (property, cached_property)


def pages() -> dict[str, str]:
    """Text of each page, by its name."""
    documented = public_api.documented()
    chosen = {title: modules_of(title, documented) for title in PAGES}
    texts = {'index.md': index_of(chosen, documented)}
    for title, modules in chosen.items():
        lines = [f'# {title}', '', f'[All names](index.md) of `{PACKAGE}`.', '']
        for module in modules:
            lines += module_lines(module, documented[module]['own'])
        texts[PAGES[title]] = joined(lines)
    return texts


def modules_of(title: str, documented: Iterable[str]) -> list[str]:
    """Modules of one page, in the order of the groups."""
    chosen = []
    for start in (*STARTS[title], *ALSO.get(title, ())):
        whole = f'{PACKAGE}.{start}'
        below = (m for m in documented if m == whole or m.startswith(f'{whole}.'))
        chosen += sorted(below)
    return chosen


def index_of(chosen: dict[str, list[str]], documented: dict[str, dict]) -> str:
    """A table of the names, each with its sentence."""
    lines = [
        '# Python API',
        '',
        'Written from the docstrings by `python docs/write_api.py`. '
        '[Arguments of all commands](commands.md) are on a page of their own.',
        '',
    ]
    for title, modules in chosen.items():
        lines += [f'## {title}', '', '| name | what it is |', '|---|---|']
        for module in modules:
            for name, *_ in documented[module]['own']:
                link = f'{PAGES[title]}#{anchor(f"{short(module)}{name}")}'
                told = sentence(public_api.value_of(f'{module}.{name}'))
                lines.append(f'| [`{short(module)}{name}`]({link}) | {told} |')
        lines.append('')
    return joined(lines)


def joined(lines: list[str]) -> str:
    """Lines as a text, with one empty line at most between two of them."""
    return re.sub(r'\n{3,}', '\n\n', '\n'.join(lines)).strip() + '\n'


def short(module: str) -> str:
    """A module without the name of the package."""
    return module.removeprefix(f'{PACKAGE}.') + '.'


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')


def sentence(value: Any) -> str:
    """The first sentence of a docstring, for a cell of a table."""
    if not callable(value):
        return 'A table of names.' if isinstance(value, dict) else 'A constant.'
    text = (inspect.getdoc(value) or '').split('\n\n')[0].replace('\n', ' ')
    return inline(text).replace('|', '\\|')


def module_lines(module: str, names: list) -> list[str]:
    """Lines of one module: what it is for, and each of its names."""
    lines = [f'## {module}', '']
    about = inspect.getdoc(import_module(module))
    if about:
        lines += [*docstring(about), '']
    for name, directive, constant in names:
        value = public_api.value_of(f'{module}.{name}')
        lines += [f'### {short(module)}{name}', '']
        if directive == 'py:data':
            lines += [*constant_lines(value, inline(constant)), '']
            continue
        lines += ['```text', f'{name}{signature(value)}', '```', '']
        lines += [*docstring(inspect.getdoc(value) or ''), '']
        if inspect.isclass(value):
            for member, held in members(value):
                lines += member_lines(name, member, held)
    return lines


def constant_lines(value: Any, text: str) -> list[str]:
    """A line for each metric of a catalogue; else what a constant is."""
    if isinstance(value, tuple) and isinstance(value[0], Metric):
        return [f'- `{metric.key}`: {metric.text}' for metric in value]
    return [text]


def members(cls: type) -> list[tuple[str, Any]]:
    """Public methods and properties of a class that have a docstring of our own."""
    found = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith(PACKAGE):
            found.update(vars(base))
    return [
        (name, value)
        for name, value in found.items()
        if not name.startswith('_') and is_documented(value)
    ]


def is_documented(value: Any) -> bool:
    """Whether a member is a method or a property with a docstring."""
    if isinstance(value, classmethod | staticmethod):
        value = value.__func__
    known = inspect.isfunction(value) or isinstance(value, PROPERTIES)
    return known and bool(value.__doc__)


def member_lines(owner: str, name: str, value: Any) -> list[str]:
    """Lines of a method or a property."""
    if isinstance(value, PROPERTIES):
        head = f'{owner}.{name}'
    else:
        function = getattr(value, '__func__', value)
        head = f'{owner}.{name}{signature(function, bound=True)}'
    text = inspect.cleandoc(getattr(value, '__func__', value).__doc__)
    return [f'**`{head}`**', '', *docstring(text), '']


def signature(value: Callable, bound: bool = False) -> str:
    """Arguments and defaults; the docstring names the types."""
    try:
        whole = inspect.signature(value)
    except (TypeError, ValueError):
        return '(...)'
    arguments = [
        argument.replace(annotation=inspect.Parameter.empty)
        for name, argument in whole.parameters.items()
        if not (bound and name in ('self', 'cls'))
    ]
    text = str(whole.replace(parameters=arguments, return_annotation=whole.empty))
    # Objects would show their place in memory.
    return re.sub(r'<(?:function |class \')?([\w.]+)[^>]*>', r'\1', text)


def docstring(text: str) -> list[str]:
    """A docstring in Google style, as Markdown."""
    lines: list[str] = []
    title, body = '', []  # type: str, list[str]
    for line in [*text.splitlines(), 'Example:']:
        begins = SECTION.match(line)
        leaves = title and line and not line.startswith(' ')
        if begins or leaves:
            lines += section(title, body) if title else paragraphs(body)
            title, body = (begins[1], []) if begins else ('', [line])
        else:
            body.append(line)
    while lines and not lines[-1]:
        lines.pop()
    return lines


def section(title: str, body: list[str]) -> list[str]:
    """Lines of `Args:`, `Example:` and their like."""
    text = inspect.cleandoc('\n'.join(body)) if body else ''
    if title == 'Example':
        return ['```pycon', *text.splitlines(), '```', '']
    if title not in ITEMS:
        return [f'**{title}**', '', *paragraphs(text.splitlines()), '']
    lines = [f'**{title}**', '']
    for item in items(text, title):
        lines.append(f'- {item_text(title, item)}')
    return [*lines, '']


def items(text: str, title: str) -> list[str]:
    """Items of a section: a line that is not indented and has a colon begins one."""
    found: list[str] = []
    for line in text.splitlines():
        begins = line and not line.startswith(' ') and ITEM.match(line + ' ')
        if not found or (begins and title not in ('Returns', 'Yields')):
            found.append(line.strip())
        else:
            found[-1] += f' {line.strip()}'
    return [item.strip() for item in found]


def item_text(title: str, item: str) -> str:
    """An argument, a type that is returned, or an error, with its text."""
    if title in ('Returns', 'Yields', 'Raises'):
        match = TYPED.match(item)
        return f'`{match[1]}`: {inline(match[2])}' if match else inline(item)
    match = ITEM.match(item)
    if not match:
        return inline(item)
    name, kind, text = match.groups()
    typed = f' ({inline(kind)})' if kind else ''
    return f'`{name}`{typed}: {inline(text)}'


def paragraphs(lines: list[str]) -> list[str]:
    """Paragraphs, lists, formulas and examples outside of sections."""
    out: list[str] = []
    block: list[str] = []
    fence = ''

    def end_block() -> None:
        nonlocal block, fence
        if fence:
            while block and not block[-1].strip():
                block.pop()
            inner = inspect.cleandoc('\n'.join(['', *block])).splitlines()
            close = '$$' if fence == '$$' else '```'
            out.extend([fence, *inner, close, ''])
        block, fence = [], ''

    for line in lines:
        if fence and (line.startswith(' ') or not line.strip()):
            block.append(line)
            continue
        end_block()
        if line.startswith('.. math::'):
            fence, block = '$$', [line.removeprefix('.. math::')]
            block[0] = ' ' * 10 + block[0].strip()
        elif line.startswith('    '):
            fence, block = '```', [line]
        else:
            literal = line.rstrip().endswith('::')
            out.append(inline(line[:-1] if literal else line))
    end_block()
    return [*out, '']


def inline(text: str) -> str:
    """Roles, literals, formulas and links of reStructuredText, as Markdown."""
    text = re.sub(r':math:`([^`]+)`', r'$\1$', text)
    text = re.sub(r':\w+(?::\w+)?:`([^`<]+) <[^`>]+>`', r'``\1``', text)
    text = re.sub(
        r':\w+(?::\w+)?:`~?([^`]+)`',
        lambda match: f'``{match[1].rpartition(".")[2]}``',
        text,
    )
    text = re.sub(r'`([^`<]+?)\s*<(https?://[^`>]+)>`__?', r'[\1](\2)', text)
    return re.sub(r'``([^`]+)``', r'`\1`', text)


if __name__ == '__main__':
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding='utf-8')
