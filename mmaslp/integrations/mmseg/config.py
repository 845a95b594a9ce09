"""Reading a config, and building the runner that it describes."""

import copy
import hashlib
import os
import os.path as osp
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings
from mmseg.registry import RUNNERS

from ...common.inputs import MOST_TEXT, check_file
from ...common.outputs import write_output

_PREFIX = 'mmaslp::'


def load_config(path: str, options: dict | None = None) -> Config:
    """Read a config, import its ``custom_imports``, also in the form ``['mmaslp']``."""
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


def find_config(name: str) -> str:
    """Find a config: a file, or one that comes with the package."""
    path = osp.expanduser(name)
    if osp.isfile(path):
        return path
    # Part of an installed package; a checkout has them beside the package.
    package = Path(__file__).resolve().parents[2]
    folder = package / '.mim' / 'configs'
    folder = folder if folder.is_dir() else package.parent / 'configs'
    own = folder / name.removeprefix(_PREFIX)
    if own.is_file() and folder.resolve() in own.resolve().parents:
        return str(own)
    if name.startswith(_PREFIX):
        raise FileNotFoundError(f'the package has no config {name}')
    raise FileNotFoundError(f'no config at {osp.abspath(path)}')


def _read(path: str) -> Config:
    """Read a config; whatever its code raises is an error of this file."""
    check_file(path, MOST_TEXT)
    try:
        with _python_only():
            return Config.fromfile(path, import_custom_modules=False)
    except RecursionError as error:
        raise ValueError(
            f'{path} cannot be read as a config: its bases name each other: take one '
            'of these lines out of _base_'
        ) from error
    except (Exception, SystemExit) as error:
        # The top level of a file is called <module> in a traceback.
        frames = traceback.extract_tb(error.__traceback__)
        frames = [frame for frame in frames if frame.name == '<module>']
        lines = [f'{frame.filename}, line {frame.lineno}' for frame in frames]
        place = f'{lines[-1]}: ' if lines and not isinstance(error, SyntaxError) else ''
        reason = f'{type(error).__name__}: {" ".join(str(error).split())}'
        raise ValueError(
            f'{path} cannot be read as a config: {place}{reason}'
        ) from error


@contextmanager
def _python_only() -> Iterator[None]:
    """Let MMEngine read Python files only, also as bases of bases.

    YAML and JSON look like data and are not: MMEngine imports and calls what a `type`
    or a tag in them names, such as os.system.
    """
    read = Config._file2dict

    def read_python(filename: str, *args: Any, **options: Any) -> tuple:
        if not str(filename).endswith('.py'):
            raise ValueError(f'{filename}: a config is a Python file, .py')
        check_file(filename, MOST_TEXT)
        try:
            return read(filename, *args, **options)
        except UnicodeDecodeError as error:
            raise ValueError(f'{filename}: not a text file ({error})') from error

    Config._file2dict = staticmethod(read_python)
    try:
        yield
    finally:
        Config._file2dict = staticmethod(read)


def is_type(part: Any, name: str) -> bool:
    """Whether a part of a config builds a class, named with or without a scope."""
    kind = part.get('type') if isinstance(part, Mapping) else None
    kind = getattr(kind, '__name__', kind)
    return isinstance(kind, str) and kind.rsplit('.', 1)[-1] == name


def metrics_of(cfg: Mapping, evaluator: str) -> list:
    """List the metrics of an evaluator: a list, one, or MMEngine's ``Evaluator``."""
    metrics = cfg.get(evaluator) or []
    if isinstance(metrics, Mapping) and 'metrics' in metrics:
        metrics = metrics['metrics']
    return [metrics] if isinstance(metrics, Mapping) else list(metrics)


def set_work_dir(cfg: Config, config_path: str, work_dir: str | None) -> None:
    """Set ``cfg.work_dir``: the argument, else the config's, else ./work_dirs/NAME."""
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(config_path))[0]
        cfg.work_dir = osp.join('./work_dirs', name)


def name_run(cfg: Config, purpose: str) -> None:
    """Name a run, so it has its own logger, message hub and visualizer.

    MMEngine keeps these by name. A hash tells folders of the same name apart.
    """
    folder = osp.abspath(cfg.work_dir)
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    cfg.experiment_name = f'{osp.basename(folder)}_{digest}_{purpose}'
    if cfg.get('visualizer') is not None:
        cfg.visualizer.name = cfg.experiment_name


class _RunConfig(Config):
    """A config whose copy in the work directory replaces no file that would be lost."""

    replaces = True

    def dump(self, file: str | Path | None = None) -> str | None:
        """Write it, unless a file of the user's has the name."""
        if file is None:
            return super().dump()
        path = Path(file)
        if not os.path.lexists(path) or (self.replaces and _is_copied(path)):
            write_output(path, self.pretty_text, overwrite=True)
        return None


class _TestConfig(_RunConfig):
    """A config of a test, which leaves that of the training where it is."""

    replaces = False


def _is_copied(path: Path) -> bool:
    """Whether it is the config of an earlier run, which MMEngine kept twice."""
    copies = path.parent.glob(f'*/vis_data/config{path.suffix}')
    return any(copy.read_bytes() == path.read_bytes() for copy in copies)


def build_runner(cfg: Config, trains: bool = False) -> Runner:
    """Build the runner of a config, also one that it names."""
    cfg = copy.copy(cfg)
    object.__setattr__(cfg, '__class__', _RunConfig if trains else _TestConfig)
    return (RUNNERS.build if 'runner_type' in cfg else Runner.from_cfg)(cfg)
