"""Reading a config, and building the runner that it describes."""

import copy
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import distributions
from inspect import signature
from io import StringIO
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.utils import import_modules_from_strings

from ...common.arguments import check_integer, check_number, optional
from ...common.inputs import MOST_TEXT, check_file, naming
from ...common.mistakes import about_config
from ...common.replacing import replaced

# MMEngine reads a prefix only if it knows the distribution that it stands for.
MODULE2PACKAGE.setdefault('mmaslp', 'mmaslp')
# It does not know OneDL's distribution, and would find no mmseg:: base.
if any(distributions(name='onedl-mmsegmentation')):
    MODULE2PACKAGE['mmseg'] = 'onedl-mmsegmentation'


def imports_of(cfg: Config) -> dict[str, Any]:
    """The ``custom_imports`` of a config as MMEngine reads them, also of a list."""
    imports = cfg.get('custom_imports') or []
    if not isinstance(imports, Mapping):
        imports = dict(imports=imports)
    names = imports.get('imports', [])
    if isinstance(names, str):
        names = [names]
    is_list = isinstance(names, (list, tuple))
    if not is_list or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f'{cfg.filename or "a config"}: custom_imports must be '
            f'dict(imports=[names of modules]), got {names!r}'
        )
    return dict(imports, imports=list(names))


def import_modules(cfg: Config) -> None:
    """Import the ``custom_imports`` of a config."""
    if cfg.get('custom_imports'):
        cfg.custom_imports = imports_of(cfg)
        import_modules_from_strings(**cfg.custom_imports)


def read_config(path: str, options: dict | None = None) -> Config:
    """Read a config as it is, and override settings by ``key.key`` and value."""
    file = find_config(path)
    check_file(file, MOST_TEXT)  # MMEngine reads the first file whole
    with _python_only() as opened:
        try:
            cfg = Config.fromfile(file, import_custom_modules=False)
        except (Exception, SystemExit) as error:  # whatever its code raises
            reason = f'{type(error).__name__}: {" ".join(str(error).split())[:500]}'
            if len(opened) > 1:
                reason = f'in {opened[-1]}: {reason}'
            raise ValueError(f'{file} cannot be read as a config: {reason}') from error

    if options:
        _check_names(cfg, options)
        try:
            cfg.merge_from_dict(options)
        except Exception as error:  # by kind of list and key, MMSegmentation raises any
            raise ValueError(
                f'`cfg_options` {" ".join(options)}: does not fit {path} ({error})'
            ) from error
    with naming(path):
        _check_parts(cfg)
    return cfg


def _check_names(cfg: Config, options: Mapping[str, Any]) -> None:
    """Refuse options of settings that nobody reads."""
    from mmengine.runner import Runner  # takes seconds to import

    names = set(cfg) | set(signature(Runner).parameters) | set(_ALSO_READ.split())
    for name in {key.split('.')[0] for key in options} - names:
        alike = ', '.join(get_close_matches(name, names)) or 'none'
        raise ValueError(
            f'`cfg_options` {name}: neither the config nor MMEngine has such a '
            f'setting (alike: {alike}). One of a part has a path, as in '
            'optim_wrapper.optimizer.lr=.01 or randomness.seed=1'
        )


# Settings that are read, and are no argument of MMEngine's runner.
_ALSO_READ = """
activation_checkpointing compile custom_imports data_root efficient_conv_bn_eval
find_unused_parameters model_wrapper_cfg runner_type strategy sync_bn test_sets
tta_model tta_pipeline"""


@dataclass(frozen=True)
class _Parts:
    """Parts of a config of one type, all of which MMEngine can do without."""

    words: str
    type: Any
    names: str


_PARTS = (
    _Parts(
        'a dict',
        Mapping,
        'model train_dataloader val_dataloader test_dataloader train_cfg val_cfg '
        'test_cfg optim_wrapper default_hooks visualizer env_cfg randomness test_sets',
    ),
    _Parts('a list', list | tuple, 'custom_hooks tta_pipeline'),
    _Parts('a text', str, 'work_dir load_from default_scope experiment_name'),
    _Parts('True or False', bool, 'resume'),
)


def _check_parts(cfg: Config) -> None:
    """Refuse parts of another type, and a training that would do nothing."""
    for parts in _PARTS:
        for name in parts.names.split():
            if not isinstance(cfg.get(name), parts.type | None):
                raise ValueError(f'{name} must be {parts.words}, got {cfg[name]!r}')

    optional(
        check_integer,
        'randomness.seed',
        (cfg.get('randomness') or {}).get('seed'),
        at_least=0,
        at_most=2**32 - 1,
    )
    loop = cfg.get('train_cfg') or {}
    least = {'max_epochs': 1, 'max_iters': 1, 'val_interval': 1, 'val_begin': 0}
    for name, limit in least.items():
        optional(check_number, f'train_cfg.{name}', loop.get(name), at_least=limit)


def find_config(name: str) -> str:
    """Find a config: a file, or one that comes with the package."""
    path = os.path.expanduser(name)
    if os.path.isfile(path):
        return path
    # Part of an installed package; a checkout has them beside the package.
    package = Path(__file__).resolve().parents[2]
    folder = package / '.mim' / 'configs'
    if not folder.is_dir():
        folder = package.parent / 'configs'
    file = folder / name.removeprefix('mmaslp::')
    if file.is_file() and folder.resolve() in file.resolve().parents:
        return str(file)
    raise FileNotFoundError(
        f'no config at {os.path.abspath(path)}, and the package has no config {name}'
    )


def bases_of(file: str) -> list[str]:
    """List the bases of a config, and their bases: paths, and names with a scope."""
    bases = []
    for base in Config._get_base_files(file):
        if '::' not in base:
            base = os.path.join(os.path.dirname(file), base)
            bases += bases_of(base)
        bases.append(base)
    return list(dict.fromkeys(bases))


@contextmanager
def _python_only() -> Iterator[list[str]]:
    """Let MMEngine read Python files only, also as bases of bases.

    Yields the file that is being read, behind those whose base it is.

    YAML and JSON look like data and are not: MMEngine imports and calls what a `type`
    or a tag in them names, such as os.system.
    """
    read, find = Config._file2dict, Config._get_cfg_path
    opened: list[str] = []

    def read_python(filename: str, *args: Any, **options: Any) -> tuple:
        if not str(filename).endswith('.py'):
            raise ValueError(f'{filename}: a config is a Python file, .py')
        check_file(filename, MOST_TEXT)
        if os.path.realpath(filename) in map(os.path.realpath, opened):
            raise ValueError(f'{filename} is a base of itself')
        opened.append(filename)
        content = read(filename, *args, **options)
        opened.pop()  # not of one that fails
        return content

    def find_base(name: str, *args: Any) -> tuple:
        try:
            # OpenMMLab's does not find a package that is installed in place.
            if name.startswith('mmaslp::'):
                return find_config(name), 'mmaslp'
            return find(name, *args)
        except Exception as error:  # names the function of MMEngine, and not the base
            raise ValueError(
                f'there is no base {name!r}: name a file, or as in '
                'mmseg::_base_/default_runtime.py one of an installed package '
                f'({error})'
            ) from error

    with (
        replaced(Config, '_file2dict', staticmethod(read_python)),
        replaced(Config, '_get_cfg_path', staticmethod(find_base)),
    ):
        yield opened


def type_of(part: Any) -> str:
    """Name of the class that a part of a config builds, without its scope, or ''."""
    if not isinstance(part, Mapping):
        return ''
    built = part.get('type')
    return str(getattr(built, '__name__', built or '')).rsplit('.', 1)[-1]


def listed(parts: Any, place: str) -> list:
    """List parts of a config: several, one, or none; refuse texts and numbers."""
    if isinstance(parts, (Mapping, str, int, float)):
        parts = [parts]
    parts = list(parts or [])
    for part in parts:
        if isinstance(part, (str, int, float)):
            raise ValueError(f'{place} must be a dict or a list of them, got {part!r}')
    return parts


def metrics_of(cfg: Mapping, evaluator: str) -> list:
    """List the metrics of an evaluator: a list, one, or MMEngine's ``Evaluator``."""
    metrics: Any = cfg.get(evaluator)
    if isinstance(metrics, Mapping) and 'metrics' in metrics:
        metrics = metrics['metrics']
    metrics = listed(metrics, evaluator)
    prefixes = [m.get('prefix') for m in metrics if type_of(m) == 'CalibrationMetric']
    if len(set(prefixes)) < len(prefixes):
        raise ValueError(
            f'{evaluator}: two CalibrationMetrics have one prefix: give one of them '
            "another, such as prefix='positive'"
        )
    return metrics


def calibration_of(cfg: Mapping, evaluator: str) -> dict | None:
    """The first CalibrationMetric of an evaluator, as a config describes it."""
    for metric in metrics_of(cfg, evaluator):
        if type_of(metric) == 'CalibrationMetric':
            return metric
    return None


@about_config()
def name_run(cfg: Config, purpose: str) -> None:
    """Name a run, so it has its own logger, message hub and visualizer.

    MMEngine keeps these by name. A hash tells folders of the same name apart.
    """
    folder = os.path.abspath(cfg.work_dir)
    suffix = f'_{hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]}_{purpose}'
    name = cfg.get('experiment_name') or os.path.basename(folder)
    cfg.experiment_name = name.removesuffix(suffix) + suffix
    if cfg.get('visualizer') is not None:
        cfg.visualizer.name = cfg.experiment_name


def import_mmseg() -> None:
    """Import what a config can name, quietly."""
    with redirect_stdout(StringIO()):  # it prints of a library that nobody has
        import mmseg.datasets
        import mmseg.models  # noqa: F401


@about_config()
def build_runner(cfg: Config) -> Any:
    """Build the runner of a config, also one that it names.

    MMEngine writes a copy of the config into the work directory: where a file has its
    name, ``{runner.timestamp}.py`` beside it.
    """
    import_mmseg()
    from mmengine.runner import Runner
    from mmseg.registry import RUNNERS

    if 'type' not in (cfg.get('model') or {}):
        raise ValueError(
            f'{cfg.filename or "the config"} has not a model that can be built: write '
            "model = dict(type='EncoderDecoder', ...), or a _base_ that has it"
        )
    written = Path(cfg.work_dir, Path(cfg.filename or '').name)
    if cfg.filename and written.exists():
        cfg = copy.copy(cfg)
        object.__setattr__(cfg, '_filename', None)
    build = Runner.from_cfg
    if 'runner_type' in cfg:
        build = RUNNERS.build
    runner = build(cfg)
    _mark_builders(runner)
    _mark_builders(getattr(runner, 'strategy', None))
    return runner


def _mark_builders(owner: Any) -> None:
    """Let errors of what MMEngine builds later, such as an optimizer, be marked too."""
    for name in dir(owner):
        if name.startswith('build_'):
            setattr(owner, name, about_config()(getattr(owner, name)))
