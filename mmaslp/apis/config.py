"""Reading configs and checking checkpoints for the command line tools."""

import os
import os.path as osp
import zipfile
from pathlib import Path

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from ..utils.names import nearest

__all__ = [
    'check_checkpoint',
    'config_folder',
    'find_config',
    'load_config',
    'set_work_dir',
]

_PREFIX = 'mmaslp::'


def config_folder() -> Path:
    """Return the folder of the configs that come with the package.

    It is part of an installed package; a checkout has it beside the package.
    """
    package = Path(__file__).resolve().parents[1]
    installed = package / '.mim' / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'


def find_config(name: str) -> str:
    """Find a config: a file, or one that comes with the package.

    Args:
        name (str): A path, where ``~`` is expanded; or a path below
            :func:`config_folder`, which ``mmaslp::`` may precede
            (``mmaslp::demo/bce.py``). A file that exists comes first.

    Returns:
        str: The path of a file.

    Raises:
        FileNotFoundError: If there is neither; the message names the nearest config.
    """
    path = osp.expanduser(name)
    if osp.isfile(path):
        return path
    folder = config_folder()
    own = folder / name.removeprefix(_PREFIX)
    if own.is_file() and folder in own.resolve().parents:
        return str(own)
    known = (p.relative_to(folder) for p in sorted(folder.rglob('*.py')))
    names = [p.as_posix() for p in known if p.parts[0] != '_base_']
    hint = nearest(name.removeprefix(_PREFIX), names)
    where = 'the package' if name.startswith(_PREFIX) else f'{osp.abspath(path)}'
    raise FileNotFoundError(f'no config at {where}{hint}')


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config and import the modules of ``custom_imports``.

    Accepts the short form ``custom_imports = ['mmaslp']`` as well as MMEngine's own
    ``custom_imports = dict(imports=['mmaslp'])``.

    Args:
        path (str): The config, see :func:`find_config`.
        options (dict, optional): Overrides, as ``--cfg-options`` gives them; they may
            contain custom imports. Defaults to None.

    Returns:
        Config: The config, with ``custom_imports`` in the long form.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If a module of ``custom_imports`` cannot be imported.
    """
    cfg = Config.fromfile(find_config(path), import_custom_modules=False)
    if options:
        cfg.merge_from_dict(options)
    imports = cfg.get('custom_imports')
    if isinstance(imports, (str, list, tuple)):
        names = [imports] if isinstance(imports, str) else list(imports)
        cfg.custom_imports = imports = dict(imports=names)
    if imports:
        import_modules_from_strings(**imports)
    return cfg


def set_work_dir(cfg: Config, config_path: str, work_dir: str | None) -> None:
    """Set ``cfg.work_dir``: the argument, else the config's, else ./work_dirs/NAME."""
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(config_path))[0]
        cfg.work_dir = osp.join('./work_dirs', name)


def check_checkpoint(path: str) -> None:
    """Make sure that a checkpoint on disk is undamaged.

    Every member of the archive is compared with its checksum. So a file that a full
    disk or a killed process has cut is named before anything is built.

    Args:
        path (str): A local file. Folders and URLs (``torchvision://``) are not checked.

    Raises:
        FileNotFoundError: If a path without a scheme does not exist.
        ValueError: If the file is damaged; the message names the newest undamaged
            checkpoint of the same folder.
    """
    path = osp.expanduser(path)
    # Sharded checkpoints of FSDP, DeepSpeed and ColossalAI are folders.
    if '://' in path or osp.isdir(path):
        return
    if not osp.isfile(path):
        raise FileNotFoundError(f'no checkpoint at {osp.abspath(path)}')
    reason = _damage(path)
    if reason is None:
        return
    others = (o for o in _siblings(path) if _damage(o) is None)
    newest = next(others, None)
    advice = (
        f'the newest whole one beside it is {newest}'
        if newest
        else 'there is no whole one beside it'
    )
    raise ValueError(f'{path} is damaged ({reason}); {advice}')


def _siblings(path: str) -> list[str]:
    folder = osp.dirname(osp.abspath(path))
    names = [osp.join(folder, n) for n in os.listdir(folder) if n.endswith('.pth')]
    names = [n for n in names if n != osp.abspath(path)]
    return sorted(names, key=osp.getmtime, reverse=True)


def _damage(path: str) -> str | None:
    with open(path, 'rb') as file:
        head = file.read(4)
    if not head:
        return 'it is empty'
    if head != b'PK\x03\x04':
        # torch < 1.6 wrote plain pickles, which have no checksum.
        return None if head[:1] == b'\x80' else 'it is no torch checkpoint'
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except zipfile.BadZipFile:
        return 'it is cut short'
    return None if broken is None else f'{broken} fails its checksum'
