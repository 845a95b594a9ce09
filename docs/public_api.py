"""Which page of the reference documents which public name of the package.

A name is public if it stands in the ``__all__`` of a package, or belongs to a module of
a package that has none. It is documented once, at the shortest path it can be imported
from; the registered components at their own packages, as configs name them without one.
"""

import inspect
import pkgutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any

PACKAGE = 'mmaslp'
# Headings of the index, and the beginnings of the modules below each; the first one
# that fits counts, and the rest is for those who change the package.
GROUPS = {
    'Plain PyTorch': ('losses', 'levels', 'metrics', 'calibration', 'functional'),
    'Other toolkits': tuple(
        f'integrations.{name}'
        for name in ('lightning', 'torchmetrics', 'transformers', 'nnunet')
    ),
    'Components of a config': tuple(
        f'integrations.mmseg.{part}'
        for part in ('engine', 'models', 'datasets', 'evaluation')
    ),
    'Files, results and pictures': ('commands', 'workflows', 'files', 'report'),
    'Inside of the package': ('',),
}


def public_modules() -> dict[str, list[str]]:
    """Names of every public module, modules of short paths first, the package last."""
    package = import_module(PACKAGE)
    found = {}
    queue = [package]
    while queue:
        module = queue.pop(0)
        found[module.__name__] = names = _names(module)
        if hasattr(module, '__path__'):
            for info in pkgutil.iter_modules(module.__path__, f'{module.__name__}.'):
                if _is_public(info, bool(names)):
                    # A toolkit of an extra that is not installed has no page here.
                    with suppress(ImportError):
                        queue.append(import_module(info.name))
    found[PACKAGE] = found.pop(PACKAGE)  # to the end
    return found


def documented() -> dict[str, dict[str, list]]:
    """What stands on the page of each module.

    Returns:
        dict[str, dict]: By module: ``own``, for each name documented there the
        directive that does so and what to say of a constant, and ``other``, pairs of a
        name and the full path at which another page documents it. Modules with nothing
        of their own have no page.
    """
    pages: dict[str, dict[str, list]] = {}
    places: dict[tuple[str, int], str] = {}
    for module, names in public_modules().items():
        page: dict[str, list] = {'own': [], 'other': []}
        for name in names:
            value = value_of(f'{module}.{name}')
            place = places.setdefault((name, id(value)), f'{module}.{name}')
            if place == f'{module}.{name}':
                page['own'].append((name, _directive(value), _constant(value)))
            else:
                page['other'].append((name, place))
        if page['own'] or module == PACKAGE:
            pages[module] = page
    return pages


def value_of(path: str) -> Any:
    """The object that a full dotted path names."""
    module, _, name = path.rpartition('.')
    return getattr(import_module(module), name)


def index(pages: Iterable[str]) -> str:
    """Text of the page that lists the pages of modules, for autosummary."""
    groups: dict[str, list[str]] = {heading: [] for heading in GROUPS}
    for name in sorted(set(pages) - {PACKAGE}):
        groups[_group(name)].append(name)
    lines = ['Python API', '==========', '', *_listing([PACKAGE])]
    for heading, names in groups.items():
        lines += [heading, '-' * len(heading), '', *_listing(names)]
    return '\n'.join(lines)


def _listing(names: Iterable[str]) -> list[str]:
    options = ['   :toctree:', '']
    return ['.. autosummary::', *options, *(f'   {name}' for name in names), '']


def _group(module: str) -> str:
    for heading, starts in GROUPS.items():
        for start in starts:
            whole = f'{PACKAGE}.{start}'.rstrip('.')
            if module == whole or module.startswith(f'{whole}.'):
                return heading
    raise AssertionError(f'{module} is not in {PACKAGE}')


def _directive(value: Any) -> str:
    if not isinstance(value, type):
        return 'autofunction' if inspect.isroutine(value) else 'py:data'
    return 'autoexception' if issubclass(value, BaseException) else 'autoclass'


def _constant(value: Any) -> str:
    if isinstance(value, Mapping):
        return f'Keys: {", ".join(f"``{key!r}``" for key in value)}.'
    return f'Value: ``{value!r}``.'


def _is_public(info: pkgutil.ModuleInfo, parent_has_names: bool) -> bool:
    last = info.name.rpartition('.')[2]
    if last.startswith('_'):
        return False
    return info.ispkg or not parent_has_names or info.name.count('.') == 1


def _names(module: ModuleType) -> list[str]:
    """The ``__all__`` of a module; without one, what a plain module defines."""
    names = getattr(module, '__all__', None)
    if names is not None:
        kept = (n for n in names if not isinstance(getattr(module, n), ModuleType))
        return sorted(kept, key=str.lower)
    if hasattr(module, '__path__'):
        return []
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith('_')
        and callable(value)
        and getattr(value, '__module__', None) == module.__name__
    ]
