"""Who imports whom: read from the source, so that no host needs to be installed."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / 'mmaslp'
MODULES = sorted(ROOT.rglob('*.py'))

# A part of the package imports from its own row and from those above, never below.
LAYERS = (
    {'core', 'registry', 'version'},
    {'checks', 'datasets', 'losses', 'utils'},
    {'visualization', 'models'},
    {'evaluation'},
    {'engine', 'integrations'},
    {'apis'},
    {'doctor'},
    {'commands'},
    {'__main__'},
)
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}


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


def part_of(name):
    """First part below the package of a dotted name, None for other packages."""
    first, *rest = name.split('.')
    return rest[0] if first == 'mmaslp' and rest else None


def within(part):
    """Path, relative to the package, and imports of the modules below a part."""
    folder = ROOT / part
    found = {path: imports(path) for path in MODULES if folder in path.parents}
    assert found, f'no module in {folder}'
    return {str(path.relative_to(ROOT)): names for path, names in found.items()}


def test_relative_imports_are_resolved():
    names = imports(ROOT / 'core' / 'calibration' / 'histogram.py')
    assert {'numpy', 'mmaslp.core.measure.inputs.CHUNK'} <= names


@pytest.mark.parametrize('half', ['aslp', 'calibration'])
def test_method_and_measurement_share_nothing_but_regions(half):
    # Modules of the core itself are a room below both halves.
    shared = ('mmaslp.core.bands.', 'mmaslp.core.argument_checks.')
    for path, names in within(f'core/{half}').items():
        known = (f'mmaslp.core.{half}.', *shared)
        own = [name for name in names if part_of(name)]
        odd = [name for name in own if not name.startswith(known)]
        assert not odd, f'{path} imports {odd}'


@pytest.mark.parametrize('module', ['regions', 'validation'])
def test_the_room_below_both_halves_imports_neither(module):
    names = imports(ROOT / 'core' / f'{module}.py')
    assert not [name for name in names if part_of(name)]


@pytest.mark.parametrize('part', ['core', 'losses'])
def test_core_and_losses_need_torch_and_numpy_only(part):
    known = {'mmaslp', 'numpy', 'torch', *sys.stdlib_module_names}
    for path, names in within(part).items():
        odd = {name for name in names if name.split('.')[0] not in known}
        assert not odd, f'{path} imports {odd}'


def test_no_part_imports_upwards():
    for path in MODULES:
        own = path.relative_to(ROOT).with_suffix('').parts[0]
        if own == '__init__':
            continue  # registers everything
        for name in imports(path):
            other = part_of(name)
            if other not in (None, 'register_components') and other != own:
                assert {own, other} <= RANK.keys(), f'{path}: add a part to LAYERS'
                assert RANK[other] <= RANK[own], f'{path} imports {name}'


def test_parts_do_not_import_in_a_circle():
    graph = {part: set() for part in RANK}
    for path in MODULES:
        own = path.relative_to(ROOT).with_suffix('').parts[0]
        if own in graph:
            others = {part_of(name) for name in imports(path)}
            graph[own] |= others & graph.keys() - {own}
    TopologicalSorter(graph).prepare()  # raises CycleError
