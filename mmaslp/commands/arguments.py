"""Arguments that several commands share, and the parser that they are given to."""

import argparse
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .. import register_components
from ..common.mistakes import about_config
from ..common.options import RESAMPLES

if TYPE_CHECKING:
    from mmengine.config import Config

    from ..calibration.calibrator import Calibrator
    from ..files.prob_maps import MapReader

CONFIG_HELP = 'file, or a config of the package such as mmaslp::demo/bce.py'

# Each launcher: the program, and one of the variables that it sets.
_LAUNCHERS = {
    'pytorch': ('torchrun', 'RANK'),
    'slurm': ('srun', 'SLURM_PROCID'),
    'mpi': ('mpirun -x MASTER_ADDR', 'OMPI_COMM_WORLD_RANK'),
}


class CommandParser(argparse.ArgumentParser):
    """Ends with one line: what is wrong, and where the help is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, **options
        )

    def check(self, args: argparse.Namespace) -> None:
        """Refuse an empty value, such as that of a variable that a script forgot.

        A shell leaves ~ as it is in --option=~/folder: the home folder takes its place.
        """
        for action in self._actions:
            value = getattr(args, action.dest, None)
            if value == '' or (isinstance(value, list) and '' in value):
                self.error(
                    f'{[action.dest, *action.option_strings][-1]} is empty: change it, '
                    'or leave it out'
                )
            if isinstance(value, (str, Path)) and str(value).startswith('~/'):
                setattr(args, action.dest, type(value)(os.path.expanduser(value)))

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        # An option of several values takes what comes after it, too.
        if ('invalid choice: ' in message and '.py' in message) or (
            'are required: ' in message and 'are required: -' not in message
        ):
            message += '; name them before options'
        self.exit(2, f'error: {message} ({self.prog} --help)\n')


class _Options(argparse.Action):
    """MMEngine's ``key=value``, with a message for words of another form."""

    def __call__(self, parser, namespace, values, option_string=None):
        from mmengine.config import DictAction

        parse = DictAction(self.option_strings, self.dest, nargs='+')
        try:
            parse(parser, namespace, values, option_string)
        except (ValueError, AssertionError, IndexError) as error:
            given = ' '.join(values)
            parser.error(f'{option_string} {given}: write key=value ({error})')


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands that read a config and a checkpoint."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read a checkpoint that can run code: your own old files only',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_Options,
        metavar='KEY=VALUE',
        help='override settings of the config; nested keys with dots, lists as '
        'key="[a,b]"',
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of MMSegmentation's own tools."""
    add_config_options(parser)
    parser.add_argument('--work-dir', help='where to put logs, checkpoints and results')
    add_data_option(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', *_LAUNCHERS],
        default='none',
        help='how processes start',
    )
    # torch.distributed.launch passes --local-rank, older ones --local_rank.
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by the launcher'
    )


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that names other images and masks than those of a config."""
    parser.add_argument(
        '--data',
        metavar='FOLDER',
        help="images and masks that replace the config's; a folder without parts is "
        'divided, or tested as a whole',
    )


@about_config()
def config_of_run(args: argparse.Namespace, trains: bool = False) -> 'Config':
    """Read the config of a command and apply what :func:`add_run_options` added."""
    if find_spec('mmseg') is None:
        need_mmseg('this command')
    from ..integrations.mmseg.config import import_modules, read_config
    from ..integrations.mmseg.data import check_data, sets_named, use_folder

    prepare_launcher(args.launcher, args.local_rank)
    if not trains and {'load_from', 'resume'} & {*(args.cfg_options or ())}:
        raise ValueError(
            '--cfg-options: the checkpoint is the one that is named: leave load_from '
            'and resume out'
        )
    cfg = read_config(args.config, args.cfg_options)
    _check_data_root(args, cfg)
    if args.data:
        _check_data_options(args)
        print(use_folder(cfg, args.data, whole=not trains))
    if trains:
        # Before what takes seconds to import.
        check_data([*sets_named(cfg, 'train'), *sets_named(cfg, 'val')])

    need_mmseg('this command')  # registers, which takes seconds
    import_modules(cfg)
    cfg.launcher = args.launcher
    if args.quiet:
        cfg.log_level = 'WARNING'
    usual = f'./work_dirs/{Path(args.config).stem}'
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or usual
    args.work_dir = cfg.work_dir  # for messages
    return cfg


def _check_data_root(args: argparse.Namespace, cfg: 'Config') -> None:
    """Refuse a root of the data that comes too late to have an effect."""
    from ..integrations.mmseg.data import sets_named

    root = (args.cfg_options or {}).get('data_root')
    if not root:
        return
    for split in ('train', 'val', 'test'):
        for dataset in sets_named(cfg, split):
            if str(dataset.get('data_root')).startswith(str(root)):
                return
    raise ValueError(
        f'--cfg-options data_root={root} has no effect, because the data sets have '
        "read the config's data_root already: use --data FOLDER"
    )


def _check_data_options(args: argparse.Namespace) -> None:
    """Refuse settings of data sets whose place --data takes."""
    lost = []
    for key in args.cfg_options or {}:
        of_other_images = {'pipeline', 'times'}.isdisjoint(key.split('.'))
        if '_dataloader.dataset.' in key and of_other_images:
            lost.append(key)
    if lost:
        raise ValueError(
            f'--data {args.data} takes the place of the data sets, and so of '
            f'--cfg-options {" ".join(lost)}: leave one of them out'
        )


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Add the option without which no command replaces a file."""
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace existing outputs',
    )


def need_mmseg(what: str) -> None:
    """Register what a config can name, or say that MMSegmentation is missing."""
    problem = register_components()
    if problem is not None:
        raise ImportError(f'{what} needs MMSegmentation: {problem}')


def prepare_launcher(launcher: str, local_rank: int) -> None:
    """Give ``LOCAL_RANK`` to launchers that do not set it."""
    from mmengine.device import get_device

    os.environ.setdefault(
        'LOCAL_RANK', os.environ.get('OMPI_COMM_WORLD_LOCAL_RANK', str(local_rank))
    )
    start, variable = _LAUNCHERS.get(launcher, ('', 'LOCAL_RANK'))
    if variable not in os.environ:
        raise ValueError(
            f'--launcher {launcher}: {variable} is not set: start with `{start} ... -m '
            f'mmaslp ... --launcher {launcher}`, or leave out --launcher'
        )
    if launcher != 'none' and get_device() == 'cpu':
        raise ValueError(
            f'--launcher {launcher}: MMEngine gives each process a GPU, and finds none '
            'here: leave out --launcher'
        )


def check_tables(outputs: Mapping[str, str | None]) -> None:
    """Refuse tables, by their option, that are named as pages."""
    for option, path in outputs.items():
        if path and path.lower().endswith(('.html', '.htm')):
            raise ValueError(f'{option} {path} is not a page: --report writes one')


def add_calibrator(parser: argparse.ArgumentParser) -> None:
    """Add the option of commands that need a calibrator."""
    parser.add_argument(
        '--calibrator',
        required=True,
        metavar='FILE',
        help='file of `mmaslp fit`, or its folder',
    )


def add_resamples(parser: argparse.ArgumentParser) -> None:
    """Add the number of resamples that intervals are taken from."""
    parser.add_argument(
        '--resamples',
        type=int,
        default=RESAMPLES,
        help=f'resamples of the bootstrap; default {RESAMPLES}',
    )


def add_map_options(parser: argparse.ArgumentParser, logits: bool = True) -> None:
    """Add the options of commands that read maps from disk, and write files.

    Without ``logits`` the help leaves them out, and the command refuses them.
    """
    add_overwrite(parser)
    add = parser.add_argument_group('maps on disk').add_argument
    add(
        '--max-value',
        type=float,
        metavar='V',
        help='stored value of probability 1 (100 for per cent), if not 255, 65535, or '
        '1 of floats',
    )

    of_logits = argparse.SUPPRESS
    if logits:
        of_logits = 'the files contain logits'
    add('--logits', action='store_true', help=of_logits)
    add('--key', help='name of the array in .npz files')
    add('--channel', help='name or number of the foreground in nnU-Net maps of several')
    add(
        '--workers',
        type=_processes,
        default=1,
        metavar='N',
        help='processes; default 1',
    )


def _processes(text: str) -> int:
    most = os.cpu_count() or 1  # more would only cost memory
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f'{text}: name 1 to {most} processes')
    return int(text)


def map_reader(args: argparse.Namespace) -> 'MapReader':
    """Return the reader that :func:`add_map_options` asks for."""
    from ..common.arguments import check_number
    from ..files.prob_maps import MapReader

    if args.logits and args.max_value is not None:
        raise ValueError('--logits takes no --max-value: logits have no largest value')
    if args.max_value is not None:
        check_number('--max-value', args.max_value, above=0)
    channel = args.channel
    return MapReader(
        args.max_value,
        args.logits,
        args.key,
        int(channel) if channel and channel.isdecimal() else channel,
    )


def judging_calibrator(file: Path) -> 'Calibrator':
    """Load a calibrator that knows images; the error of another one names the file."""
    from ..calibration.calibrator import Calibrator
    from ..common.inputs import naming

    calibrator = Calibrator.load(file)
    with naming(file):
        calibrator.need_decisions()
    return calibrator
