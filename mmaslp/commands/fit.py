"""Fit a calibrator to a trained network, on its validation images.

Two folders: probability maps of any network, and their masks. Or a config and a
checkpoint of MMSegmentation, whose validation set is used.

Example:
    mmaslp fit val_maps val_masks --out calibrator.json
    mmaslp fit CONFIG CHECKPOINT --out calibrator.json
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.options import BY, TARGETS
from .arguments import (
    CommandParser,
    add_config_options,
    add_data_option,
    add_map_options,
    check_tables,
    config_of_run,
    map_reader,
)
from .groups import Grouping, each_alone, grouping

if TYPE_CHECKING:
    from ..calibration.fitting.tables import CalibrationTables


def add_arguments(parser: CommandParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('source', help='folder of maps, or a config')
    add('labels', help='folder of masks, or a checkpoint')
    add('--out', required=True, metavar='FILE', help='where to write (JSON)')
    add(
        '--method',
        metavar='NAME',
        default='auto',
        help='identity, temperature, platt, isotonic or one of your own; by default '
        'chosen by cross-validation',
    )
    add(
        '--by',
        choices=BY,
        default='auto',
        help='one curve for all pixels, or one for each band of distance from the '
        'border',
    )

    add(
        '--target',
        choices=TARGETS,
        default='confidence',
        help='confidence keeps every mask; probability may move masks',
    )
    add(
        '--groups',
        metavar='PATTERN',
        help='regular expression of the part of a name that one patient or video has, '
        "in parentheses if there are any, such as '^[^_]+'",
    )
    add(
        '--windows',
        action='store_true',
        help='with a config: learn from object-free windows, too',
    )
    add_map_options(parser)
    add_config_options(parser)
    add_data_option(parser)
    parser.set_defaults(launcher='none', local_rank=0, work_dir=None)


def run(args: argparse.Namespace) -> None:
    """Fit, print what was chosen and why, write the file."""
    from ..calibration.fitting.fit import METHODS, fit_tables
    from ..common.arguments import check_choice
    from ..common.outputs import check_outputs

    check_choice('--method', args.method, METHODS)
    check_tables({'--out': args.out})
    check_outputs({'--out': args.out}, [args.source, args.labels], args.overwrite)
    if args.out.lower().endswith('.csv'):
        raise ValueError(f'--out {args.out}: a calibrator is a JSON file, no table')
    group = grouping(args.groups, fits=True) or each_alone

    of_maps = Path(args.source).is_dir()
    of_config = args.windows or args.cfg_options or args.trust_checkpoint or args.data
    if of_maps and of_config:
        raise ValueError(
            '--windows, --cfg-options, --trust-checkpoint and --data run the network: '
            'give a config and a checkpoint, or leave them out'
        )
    of_files = args.logits or args.key or args.channel or args.max_value is not None
    if not of_maps and (of_files or args.workers > 1):
        raise ValueError(
            f'{args.source} is not a folder of maps, which --max-value, --logits, '
            '--key, --channel and --workers are for: give the folder, or leave them '
            'out'
        )
    count = _count_maps if of_maps else _count_checkpoint
    calibrator = fit_tables(
        count(args, group),
        args.by,
        args.method,
        args.target,
    )

    calibrator.save(args.out, args.overwrite)  # before what a closed pipe would end
    print(calibrator.summary())


def _count_maps(args: argparse.Namespace, group: Grouping) -> 'CalibrationTables':
    from ..files.map_pairs import MapFiles
    from ..workflows.fit import count_tables

    return count_tables(
        MapFiles.of(args.source, args.labels),
        map_reader(args),
        keys=group,
        workers=args.workers,
    )


def _count_checkpoint(args: argparse.Namespace, group: Grouping) -> 'CalibrationTables':
    if not args.source.endswith('.py'):
        raise ValueError(f'{args.source}: neither a folder of maps nor a config (.py)')

    args.config = args.source
    cfg = config_of_run(args)
    cfg.load_from = args.labels
    from ..integrations.mmseg.calibration import tables_of_checkpoint

    return tables_of_checkpoint(
        cfg,
        group,
        windows=args.windows,
        trust_checkpoint=args.trust_checkpoint,
        out=args.out,
    )
