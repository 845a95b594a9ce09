"""Arguments that our commands share with the tools of MMSegmentation (the host)."""

import argparse
import os

from mmengine.config import DictAction

__all__ = [
    'add_cfg_options',
    'add_host_arguments',
    'add_trust',
    'set_local_rank',
]


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='override settings of the config, as key=value; nested keys with dots, '
        'lists as key="[a,b]"',
    )


def add_host_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--work-dir``, ``--cfg-options``, ``--launcher`` and ``--local_rank``."""
    parser.add_argument('--work-dir', help='where to put logs, checkpoints and results')
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    # torch.distributed.launch passes --local-rank, older ones --local_rank.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-checkpoint``."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read a checkpoint whose pickle can run code: your own old files',
    )


def set_local_rank(args: argparse.Namespace) -> None:
    """Give ``LOCAL_RANK`` to launchers that do not set it."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
