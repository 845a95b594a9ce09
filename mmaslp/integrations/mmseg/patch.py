"""What the doctor changes in a config, as the lines of a config."""

import ast
import os.path as osp
import tempfile
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .config import find_config, read_config


def pasted(path: str, original: dict, mended: dict) -> str:
    """Lines that change a config when they stand at its end.

    MMEngine merges what a file says into what its bases say. An assignment in a file
    replaces an earlier one in the same file, so a name that the file itself sets keeps
    what it holds: ``model = dict(model, ...)``.
    """
    file = find_config(path)
    tree = ast.parse(Path(file).read_text(encoding='utf-8'))
    values = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    base = _read_bases(file, values.get('_base_'))

    lines = []
    for name in _changed(original, mended):
        value = mended[name]
        before = original.get(name)
        if name in values and isinstance(value, dict) and isinstance(before, dict):
            parts = {
                key: _change(base.get(name) or {}, value, key)
                for key in _changed(before, value)
            }
            code = _assignment(name, parts)
            code = code.replace('dict(', f'dict({name}, ', 1)
            lines.append(code.replace(', \n', ',\n'))
        else:
            lines.append(_assignment(name, _change(base, mended, name)))
    return '\n'.join(lines)


def child_config(base: str, original: dict, mended: dict) -> str:
    """A config that has another one as its base, and changes it."""
    lines = [
        _assignment(name, _change(original, mended, name))
        for name in _changed(original, mended)
    ]
    return '\n'.join([f'_base_ = {base!r}', *lines, ''])


def _assignment(name: str, value: Any) -> str:
    """One assignment, as MMEngine writes configs."""
    return Config({name: value}).pretty_text.rstrip()


def _changed(before: dict, after: dict) -> list[str]:
    return [name for name in after if name not in before or before[name] != after[name]]


def _change(before: dict, after: dict, name: str) -> Any:
    """What MMEngine has to merge into ``before[name]`` to get ``after[name]``."""
    value = after[name]
    if name not in before or not isinstance(value, dict):
        return value
    base = before[name]
    if not isinstance(base, dict) or base.keys() - value.keys():
        return {'_delete_': True, **value}
    return {key: _change(base, value, key) for key in _changed(base, value)}


def _read_bases(file: str, node: ast.expr | None) -> dict:
    """Read what the bases of a config say, without the config."""
    if node is None:
        return {}
    names = ast.literal_eval(node)
    folder = osp.dirname(osp.abspath(file))
    paths = [
        name if '::' in name else osp.join(folder, name)
        for name in ([names] if isinstance(names, str) else names)
    ]
    with tempfile.TemporaryDirectory() as place:
        child = Path(place) / 'bases.py'
        child.write_text(f'_base_ = {paths!r}\n', encoding='utf-8')
        return read_config(str(child)).to_dict()
