"""Finding the file of a config, and its bases."""

import ast
import os.path as osp
from pathlib import Path

from ...files.names import missing, nearest

__all__ = ['check_bases', 'config_folder', 'find_config']

_PREFIX = 'mmaslp::'


def config_folder() -> Path:
    """Return the folder of the configs that come with the package.

    It is part of an installed package; a checkout has it beside the package.
    """
    package = Path(__file__).resolve().parents[2]
    installed = package / '.mim' / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'


def find_config(name: str) -> str:
    """Find a config: a file, or one that comes with the package."""
    path = osp.expanduser(name)
    if osp.isfile(path):
        return path
    folder = config_folder()
    own = folder / name.removeprefix(_PREFIX)
    if own.is_file() and folder.resolve() in own.resolve().parents:
        return str(own)
    known = (p.relative_to(folder) for p in sorted(folder.rglob('*.py')))
    names = [p.as_posix() for p in known if p.parts[0] != '_base_']
    hint = nearest(name.removeprefix(_PREFIX), names)
    if name.startswith(_PREFIX):
        raise FileNotFoundError(f'the package has no config {name}{hint}')
    raise FileNotFoundError(f'no config at {missing(path)}{hint}')


def check_bases(path: str, above: tuple[str, ...] = ()) -> None:
    """Refuse bases that name each other, which MMEngine would read for ever.

    Python runs, and its readers know that. YAML and JSON look like data and are not:
    MMEngine imports and calls what a ``type`` in them names, such as os.system.
    """
    if osp.isfile(path) and not path.endswith('.py'):
        raise ValueError(f'{path}: a config is a Python file, .py')
    own = osp.realpath(path)
    if own in above:
        chain = ' -> '.join(osp.basename(each) for each in (*above, own))
        raise ValueError(
            f'{above[0]} cannot be read as a config: its bases name each other '
            f'({chain}): take one of these lines out of _base_'
        )
    for base in _bases(own):
        check_bases(osp.join(osp.dirname(own), base), (*above, own))


def _bases(path: str) -> list[str]:
    try:
        tree = ast.parse(Path(path).read_text(encoding='utf-8'))
        values = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign)
            and any(isinstance(t, ast.Name) and t.id == '_base_' for t in node.targets)
        ]
    except (OSError, ValueError, SyntaxError):
        return []  # MMSegmentation says what is wrong
    bases = values[-1] if values else []
    bases = [bases] if isinstance(bases, str) else bases
    return [base for base in bases if '::' not in str(base)]
