"""Arguments that our commands share with the tools of MMSegmentation."""

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmengine.config import Config

# What each launcher sets, and MMEngine reads; and how to start with it.
_LAUNCHERS = {
    'pytorch': (
        ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'),
        'torchrun --nproc_per_node N -m mmaslp ... --launcher pytorch',
    ),
    'slurm': (
        ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST'),
        'srun ... python -m mmaslp ... --launcher slurm',
    ),
    'mpi': (
        (
            'OMPI_COMM_WORLD_LOCAL_RANK',
            'OMPI_COMM_WORLD_RANK',
            'OMPI_COMM_WORLD_SIZE',
            'MASTER_ADDR',
        ),
        'mpirun -x MASTER_ADDR ... python -m mmaslp ... --launcher mpi',
    ),
}
# The ends of the names of those that hold a number.
_NUMBERS = ('RANK', 'SIZE', 'PORT', 'PROCID', 'NTASKS')


class _Options(argparse.Action):
    """MMEngine's ``key=value``, with a message for words of another form."""

    def __call__(self, parser, namespace, values, option_string=None):
        for value in values:
            key, equals, _ = value.partition('=')
            if not equals or not key:
                parser.error(f'{option_string} {value}: write it as key=value')
        from mmengine.config import DictAction

        parse = DictAction(self.option_strings, self.dest, nargs='+')
        try:
            parse(parser, namespace, values, option_string)
        except (ValueError, AssertionError, IndexError) as error:
            given = ' '.join(values)
            parser.error(f'{option_string} {given}: no value of the config ({error})')


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_Options,
        help='override settings of the config, as key=value; nested keys with dots, '
        'lists as key="[a,b]"',
    )


def add_host_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--work-dir``, ``--cfg-options``, ``--launcher`` and ``--local_rank``."""
    parser.add_argument('--work-dir', help='where to put logs, checkpoints and results')
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher', choices=['none', *_LAUNCHERS], default='none', help='of processes'
    )
    # torch.distributed.launch passes --local-rank, older ones --local_rank.
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help='set by the launcher'
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-checkpoint``."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read a checkpoint whose pickle can run code: your own old files',
    )


def prepare_launcher(args: argparse.Namespace) -> None:
    """Give ``LOCAL_RANK`` to launchers that do not set it."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    variables, start = _LAUNCHERS.get(args.launcher, ((), ''))
    for name in ('LOCAL_RANK', *variables):
        value = os.environ.get(name, '0')
        if name.endswith(_NUMBERS) and not value.isdecimal():
            raise ValueError(f'{name} is {value!r}, not a number: unset or mend it')
    missing = [name for name in variables if name not in os.environ]
    if missing:
        raise ValueError(
            f'--launcher {args.launcher}: {", ".join(missing)} is not set, which the '
            f'launcher does: start with `{start}`, or leave out --launcher'
        )


def config_of_run(args: argparse.Namespace) -> 'Config':
    """Read the config of a command and apply what :func:`add_host_arguments` added."""
    from ..hosts.mmseg.config import load_config, set_work_dir

    prepare_launcher(args)
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    if args.quiet:
        cfg.log_level = 'WARNING'
    set_work_dir(cfg, args.config, args.work_dir)
    return cfg
