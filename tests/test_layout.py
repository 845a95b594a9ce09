"""Who imports whom: read from the source, so that MMSegmentation is not needed."""

import ast
import re
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from mmaslp.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1] / 'mmaslp'
MODULES = sorted(ROOT.rglob('*.py'))
# A room imports from itself and from the rooms before it.
ROOMS = [
    *('common', 'augmentation', 'losses', 'metrics', 'levels', 'calibration'),
    *('training', 'files', 'evaluation', 'workflows', 'report', 'integrations'),
    'commands',
]
# Rooms that can be read and used alone, and what each may import of the others.
PURE = {
    'common': (),
    'augmentation': ('common',),
    'losses': ('common',),
    'levels': ('common', 'losses', 'metrics'),
    'metrics': ('common',),
    'calibration': ('common', 'metrics'),
}
MM = {'mmcv', 'mmengine', 'mmseg'}


def imports(path):
    """Full dotted names of all that a module imports, also inside of functions."""
    parent = ('mmaslp', *path.relative_to(ROOT).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = parent[: len(parent) + 1 - node.level] if node.level else ()
            stem = '.'.join([*base, *filter(None, [node.module])])
            found.update(f'{stem}.{name.name}' for name in node.names)
    return found


def within(folder):
    """Path, relative to the package, and imports of the modules of a folder."""
    found = [path for path in MODULES if ROOT / folder in path.parents]
    assert found, f'no module in {folder}'
    return {str(path.relative_to(ROOT)): imports(path) for path in found}


def test_relative_imports_are_resolved():
    names = imports(ROOT / 'metrics' / 'histogram.py')
    assert {'numpy', 'mmaslp.common.arrays.PIXELS_AT_ONCE'} <= names


@pytest.mark.parametrize('room', PURE)
def test_a_pure_room_is_readable_alone(room):
    known = tuple(f'mmaslp.{each}' for each in (room, *PURE[room]))
    for path, names in within(room).items():
        odd = [n for n in names if n.startswith('mmaslp') and not n.startswith(known)]
        assert not odd, f'{path} imports {odd}'


@pytest.mark.parametrize('room', PURE)
def test_a_pure_room_needs_torch_numpy_and_scipy_only(room):
    known = {'mmaslp', 'numpy', 'scipy', 'torch', *sys.stdlib_module_names}
    for path, names in within(room).items():
        odd = {name for name in names if name.split('.')[0] not in known}
        assert not odd, f'{path} imports {odd}'


@pytest.mark.parametrize('room', ROOMS)
def test_a_room_imports_from_the_rooms_before_it(room):
    later = tuple(f'mmaslp.{each}' for each in ROOMS[ROOMS.index(room) + 1 :])
    for path, names in within(room).items():
        odd = [name for name in names if later and name.startswith(later)]
        assert not odd, f'{path} imports {odd}'


def test_no_module_imports_itself_by_way_of_others():
    """Also not inside of functions; a circle is a CycleError that names it."""
    places = {
        '.'.join(('mmaslp', *path.relative_to(ROOT).with_suffix('').parts)): path
        for path in MODULES
        if path.name != '__init__.py'
    }
    graph = {
        module: {
            name
            for each in imports(path)
            for name in (each, each.rpartition('.')[0])
            if name in places
        }
        for module, path in places.items()
    }
    assert graph['mmaslp.metrics.histogram'] >= {'mmaslp.common.arrays'}
    TopologicalSorter(graph).prepare()


def test_only_the_room_of_mmsegmentation_imports_it():
    for path in MODULES:
        place = path.relative_to(ROOT).parts
        if place[:2] != ('integrations', 'mmseg') and place[0] != 'commands':
            odd = [name for name in imports(path) if name.split('.')[0] in MM]
            assert not odd, f'{path} imports {odd}'


def test_only_registries_of_mmsegmentation_are_imported_with_the_package():
    """Anything else would go round in a circle while mmseg is being imported."""
    for path in (path for path in MODULES if 'mmseg' in path.parts):
        tree = ast.parse(path.read_text(encoding='utf-8'))
        names = [
            node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        odd = [
            name
            for name in names
            if str(name).split('.')[0] == 'mmseg' and name != 'mmseg.registry'
        ]
        assert not odd, f'{path} imports {odd}'


def test_no_command_imports_another():
    """Except the dispatcher, which is the package itself."""
    commands = {f'mmaslp.commands.{name.replace("-", "_")}' for name in COMMANDS}
    modules = within('commands')
    assert len(modules) > len(commands)
    for path, names in modules.items():
        prefixes = {'.'.join(name.split('.')[:3]) for name in names}
        assert not prefixes & commands, path


# What an option is, and what may name some: whole commands, and other programs.
OPTION = re.compile(r'(?<![\w-])--[a-z][\w-]*')
WHOLE_COMMAND = re.compile(r'`mmaslp [^`]*`|--save_probabilities|training --npz')


def messages(path):
    """Texts of a module, without docstrings; pieces of an f-string are joined."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    not_alone = set()  # docstrings, and pieces
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            not_alone.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            not_alone.update(map(id, node.values))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts = [part.value for part in node.values if hasattr(part, 'value')]
            yield ''.join(text for text in texts if isinstance(text, str))
        elif isinstance(node, ast.Constant) and id(node) not in not_alone:
            yield str(node.value)


BELOW_COMMANDS = (
    'common',
    'evaluation',
    'files',
    'integrations',
    'report',
    'workflows',
)


@pytest.mark.parametrize('room', BELOW_COMMANDS)
def test_only_commands_name_their_options(room):
    """Below them messages name arguments of Python, see commands/errors.py."""
    for path in within(room):
        for text in messages(ROOT / path):
            assert not OPTION.findall(WHOLE_COMMAND.sub('', text)), (path, text)
