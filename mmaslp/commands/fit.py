"""Fit a calibrator to a trained network, on its validation images.

Two folders: probability maps of any network, and their masks. Or a config and a
checkpoint of MMSegmentation, whose validation set is used.

Example:
    mmaslp fit val_maps val_masks --out calibrator.json
    mmaslp fit CONFIG CHECKPOINT --out calibrator.json
"""

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .parser import add_map_options, map_reader

METHODS = ('auto', 'identity', 'temperature', 'affine', 'isotonic')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument('source', help='folder of maps, or a config')
    parser.add_argument('labels', help='folder of masks, or a checkpoint')
    parser.add_argument('--out', required=True, metavar='FILE', help='where to (JSON)')
    parser.add_argument(
        '--method',
        choices=METHODS,
        default='auto',
        help='by default chosen out of fold',
    )
    parser.add_argument(
        '--by',
        choices=('auto', 'single', 'band'),
        default='auto',
        help='one map for all pixels, or one for each band of distance from the border',
    )
    parser.add_argument(
        '--target',
        choices=('confidence', 'probability'),
        default='confidence',
        help='confidence keeps every mask; probability may move masks',
    )
    parser.add_argument(
        '--groups',
        metavar='PATTERN',
        help='regular expression of the part of a name that images of one patient, '
        "video or place share, such as '^[^_]+'",
    )
    add_map_options(parser)
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read a checkpoint whose pickle can run code: your own old files',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', help='override settings of the config, key=value'
    )


def run(args: argparse.Namespace) -> None:
    """Fit, print what was chosen and why, write the file."""
    from ..core.calibrators import fit_tables
    from ..files.outputs import check_outputs

    names = [args.source, args.labels]
    check_outputs({'--out': (args.out, 'calibrator')}, names, make_folders=True)
    remarks: list[str] = []
    keys = _Keys(args.groups, remarks)
    folder = Path(args.source).is_dir()
    tables = _of_maps(args, keys) if folder else _of_checkpoint(args, keys)
    if tables is None:
        return
    calibrator = fit_tables(tables, args.by, args.method, args.target, remarks)
    print(calibrator.summary())
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    calibrator.save(args.out)
    print(f'\ncalibrator: {args.out}')


class _Tables:
    """Counts for the fit, as ``count_pairs`` wants them."""

    def __init__(self, logits: bool) -> None:
        from ..core.calibrators import CalibrationTables

        self.tables, self.logits = CalibrationTables(), logits

    def add(self, name: str, key: int, prob, label) -> None:
        self.tables.update(prob, label, key, logits=self.logits)

    def merge(self, other: '_Tables') -> None:
        self.tables.merge(other.tables)


class _Keys:
    """Numbers names by the group that a pattern finds in them."""

    def __init__(self, pattern: str | None, remarks: list[str]) -> None:
        try:
            self.pattern = None if pattern is None else re.compile(pattern)
        except re.error as error:
            raise ValueError(f'--groups {pattern}: not a pattern ({error})') from error
        self.remarks = remarks

    def __call__(self, names: Sequence[str]) -> Sequence[int]:
        from ..core.calibrators.fit import first_seen

        if self.pattern is None:
            hint = frames_hint([str(Path(name).with_suffix('')) for name in names])
            self.remarks += [hint] if hint else []
            return range(len(names))
        groups = []
        for name in names:
            found = self.pattern.search(Path(name).name)
            if found is None:
                raise ValueError(
                    f'--groups {self.pattern.pattern}: matches nothing in {name}'
                )
            groups.append(found.group())
        return list(first_seen(groups))


def frames_hint(names: Sequence[str]) -> str | None:
    """Return a sentence if images look like frames of a few videos, by their names."""
    stems = Counter(re.sub(r'[\W_]*\d+$', '', name) for name in names)
    if not 1 < len(stems) <= len(names) / 3 or '' in stems:
        return None
    return (
        f'Names look like frames of {len(stems)} videos: give groups, since frames of '
        'one video say less than as many images.'
    )


def _of_maps(args: argparse.Namespace, keys: _Keys):
    from functools import partial

    from ..files.map_pairs import count_pairs

    counted = count_pairs(
        args.source,
        args.labels,
        partial(_Tables, args.logits),
        map_reader(args),
        keys=keys,
        workers=args.workers,
        what='fitting',
    )
    return counted.tables


def _of_checkpoint(args: argparse.Namespace, keys: _Keys):
    if not Path(args.source).exists() and not args.source.startswith('mmaslp::'):
        raise FileNotFoundError(f'{args.source}: neither a folder of maps nor a config')
    from .. import register_components

    problem = register_components()
    if problem is not None:
        raise ImportError(f'{args.source} is a config, and {problem}')
    from mmengine.dist import is_main_process

    from ..hosts.mmseg.calibration import tables_of_checkpoint
    from .arguments import config_of_run

    args.config, args.work_dir = args.source, None
    args.launcher, args.local_rank = 'none', 0
    cfg = config_of_run(args)
    cfg.load_from = args.labels
    tables = tables_of_checkpoint(cfg, keys, trust_checkpoint=args.trust_checkpoint)
    return tables if is_main_process() else None
