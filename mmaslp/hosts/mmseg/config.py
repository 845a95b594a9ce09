"""Reading configs and checking checkpoints for the command line tools."""

import os
import os.path as osp
import traceback
from contextlib import redirect_stdout
from io import StringIO
from zipfile import is_zipfile

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings

from ...files.names import missing
from .checkpoint import damage, numbered_checkpoints
from .config_files import check_bases, find_config
from .safe_loading import CodeInCheckpoint, check_saved_config, load_safely

__all__ = [
    'check_checkpoint',
    'load_config',
    'newest_checkpoint',
    'set_work_dir',
]

_CODE = '<module>'  # the name of the top level of a file in tracebacks


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config and import the modules of ``custom_imports``.

    Accepts the short form ``custom_imports = ['mmaslp']`` as well as MMEngine's own
    ``custom_imports = dict(imports=['mmaslp'])``.
    """
    with redirect_stdout(StringIO()):  # it prints of a library that nobody has
        import mmseg.datasets  # noqa: F401

    cfg = _read(find_config(path))
    if options:
        try:
            cfg.merge_from_dict(options)
        except Exception as error:  # by kind of list and key, MMSegmentation raises any
            raise ValueError(
                f'--cfg-options {" ".join(options)}: does not fit {path} ({error})'
            ) from error
    imports = cfg.get('custom_imports')
    if isinstance(imports, (str, list, tuple)):
        names = [imports] if isinstance(imports, str) else list(imports)
        cfg.custom_imports = imports = dict(imports=names)
    if imports:
        import_modules_from_strings(**imports)
    return cfg


def _read(path: str) -> Config:
    """Read a config; whatever its code raises is an error of this file."""
    check_bases(path)
    try:
        return Config.fromfile(path, import_custom_modules=False)
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f'{f.filename}, line {f.lineno}' for f in frames if f.name == _CODE]
        place = f'{lines[-1]}: ' if lines and not isinstance(error, SyntaxError) else ''
        reason = f'{type(error).__name__}: {" ".join(str(error).split())}'
        raise ValueError(
            f'{path} cannot be read as a config: {place}{reason}'
        ) from error


def set_work_dir(cfg: Config, config_path: str, work_dir: str | None) -> None:
    """Set ``cfg.work_dir``: the argument, else the config's, else ./work_dirs/NAME."""
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(config_path))[0]
        cfg.work_dir = osp.join('./work_dirs', name)


def check_checkpoint(path: str, trust: bool = False, resume: bool = False) -> None:
    """Make sure that a checkpoint is undamaged and runs no code, before it is used.

    Every member of the archive is compared with its checksum, and the file is read by
    ``load_safely``, with its tensors mapped rather than
    read. So a file that a full disk or a killed process has cut, or that would run
    code, is named before anything is built.
    """
    path = osp.expanduser(path)
    if '://' in path:
        return
    for part in _shards(path) if osp.isdir(path) else [path]:
        if not osp.isfile(part):
            raise FileNotFoundError(f'no checkpoint at {missing(part)}')
        try:
            _check_file(part, trust, resume)
        except CodeInCheckpoint:
            raise
        except ValueError as error:
            raise ValueError(f'{error}; {_advice(path)}') from error


def newest_checkpoint(folder: str, trust: bool = False) -> str | None:
    """Find the latest checkpoint of a work directory that is whole and runs no code."""
    for path in numbered_checkpoints(folder):
        if _is_good(path, trust):
            return path
    return None


def _check_file(path: str, trust: bool, resume: bool) -> None:
    reason = damage(path)
    if reason is not None and not trust:
        raise ValueError(f'{path} is damaged ({reason})')
    if not trust:
        checkpoint = load_safely(path, mmap=is_zipfile(path))
        if not isinstance(checkpoint, dict):
            kind = type(checkpoint).__name__
            raise ValueError(f'{path} holds a {kind}, and a checkpoint is a dict')
        if resume:
            check_saved_config(checkpoint, path)


def _shards(folder: str) -> list[str]:
    names = sorted(n for n in os.listdir(folder) if n.endswith(('.pth', '.pt')))
    return [osp.join(folder, name) for name in names]


def _is_good(path: str, trust: bool = False) -> bool:
    try:
        _check_file(path, trust, resume=True)
    except (ValueError, OSError):
        return False
    return True


def _advice(path: str) -> str:
    """Name the newest good checkpoint beside a damaged one."""
    folder = osp.dirname(osp.abspath(path))
    others = [osp.join(folder, n) for n in os.listdir(folder) if n.endswith('.pth')]
    others = [n for n in others if n != osp.abspath(path) and osp.isfile(n)]
    others.sort(key=osp.getmtime, reverse=True)
    newest = next(filter(_is_good, others), None)
    if newest is None:
        return 'there is no whole one beside it'
    return f'the newest whole one beside it is {newest}'
