"""Fit a calibrator to a trained network, on its validation images.

Two folders: probability maps of any network, and their masks. Or a config and a
checkpoint of MMSegmentation, whose validation set is used.

Example:
    mmaslp fit val_maps val_masks --out calibrator.json
    mmaslp fit CONFIG CHECKPOINT --out calibrator.json
"""

import argparse
import re
import signal
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import (
    CommandParser,
    add_config_options,
    add_data_option,
    add_map_options,
    check_tables,
    config_of_run,
    map_reader,
)
from .errors import raising

# A pattern such as '(p+)+$' may not end before the universe does.
MOST_SECONDS = 10

if TYPE_CHECKING:
    from ..calibration.fitting.tables import CalibrationTables

    # From names to the number of the group of each.
    Group = Callable[[Sequence[str]], Sequence[int]]


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
        choices=('auto', 'single', 'band'),
        default='auto',
        help='one map for all pixels, or one for each band of distance from the border',
    )

    add(
        '--target',
        choices=('confidence', 'probability'),
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
    pattern = read_pattern(args.groups)

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
        count(args, partial(group_numbers, pattern)),
        args.by,
        args.method,
        args.target,
    )

    calibrator.save(args.out, args.overwrite)  # before what a closed pipe would end
    print(calibrator.summary())


def read_pattern(text: str | None) -> re.Pattern | None:
    """Read ``--groups``; ValueError if it is not a pattern."""
    if text is None:
        return None
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f'--groups {text}: not a pattern ({error})') from error


def group_numbers(
    pattern: re.Pattern | None, names: Sequence[str], fits: bool = True
) -> Sequence[int]:
    """Number names by the group that a pattern finds in them.

    ``fits``: whether a fit follows, which takes a number of groups.
    """
    from ..calibration.fitting.fit import LEAST_CASES, numbers_of

    if pattern is None:
        return range(len(names))
    late = ValueError(
        f'--groups {pattern.pattern}: takes more than {MOST_SECONDS} s: simplify it'
    )
    with raising(signal.SIGALRM, late, MOST_SECONDS):
        matches = [pattern.search(Path(name).name) for name in names]
    groups = [_group_of(match) for match in matches]
    for name, group in zip(names, groups):
        if not group:
            raise ValueError(
                f'--groups {pattern.pattern}: matches nothing in {name}, and must in '
                'each name'
            )

    different = list(dict.fromkeys(groups))
    if len(different) == 1:
        raise ValueError(
            f'--groups {pattern.pattern}: finds only {different[0]} in the names, and '
            'one group has no interval: leave --groups out, or find more'
        )
    if fits and len(different) < LEAST_CASES:
        raise ValueError(
            f'--groups {pattern.pattern}: finds only {", ".join(different)} '
            f'in the names, and a fit needs {LEAST_CASES} groups: the pattern must '
            "match all that tells patients apart, as '^[^_]+_[^_]+' matches lesion_07 "
            'in lesion_07_ct1'
        )
    if len(different) == len(groups):
        raise ValueError(
            f'--groups {pattern.pattern}: finds another text in each name, such as '
            f'{groups[0]} and {groups[1]}: it must find what files of a group share; '
            'leave --groups out if each file is a group of its own'
        )
    return list(numbers_of(groups))


def groups_by_name(text: str | None, names: Sequence[str]) -> dict[str, int] | None:
    """Number the group of each name by ``--groups``; None without that option."""
    pattern = read_pattern(text)
    if pattern is None:
        return None
    return dict(zip(names, group_numbers(pattern, names, fits=False)))


def _group_of(match: re.Match | None) -> str:
    """What a pattern finds, or what its parentheses hold; '' of nothing."""
    if match is None:
        return ''
    return '_'.join(filter(None, match.groups())) or match.group()


def _count_maps(args: argparse.Namespace, group: 'Group') -> 'CalibrationTables':
    from ..files.map_pairs import MapFiles
    from ..workflows.fit import count_tables

    return count_tables(
        MapFiles.of(args.source, args.labels),
        map_reader(args),
        keys=group,
        workers=args.workers,
    )


def _count_checkpoint(args: argparse.Namespace, group: 'Group') -> 'CalibrationTables':
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
