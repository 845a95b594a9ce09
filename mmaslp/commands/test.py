"""Test a network of MMSegmentation: calibration, several sets, probability maps.

Example:
    mmaslp test CONFIG work_dirs/run/epoch_30.pth --eval ece iou --report run.html
"""

import argparse
import os.path as osp
import warnings
from typing import TYPE_CHECKING

from .arguments import (
    CONFIG_HELP,
    CommandParser,
    add_overwrite,
    add_run_options,
    check_tables,
    config_of_run,
)
from .groups import add_groups, grouping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mmengine.config import Config

    from ..calibration.calibrator import Calibrator
    from ..evaluation.result import Result
    from ..integrations.mmseg.testing import EvaluationOptions, Tested

EVALUATIONS = ('ece', 'sod', 'iou')


def add_arguments(parser: CommandParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('config', help=CONFIG_HELP)
    add('checkpoint', help='checkpoint file')
    add(
        '--eval',
        action='extend',
        nargs='+',
        choices=EVALUATIONS,
        help='what to measure: calibration, SOD measures, IoU. By default the '
        "config's test_evaluator",
    )
    add('--sets', action='extend', nargs='+', help='names of test sets, default all')
    add(
        '--out-prob',
        metavar='DIR',
        help='write probability maps, calibrated if there is a calibrator',
    )
    add(
        '--report',
        metavar='FILE',
        help='write an HTML report, and its JSON file next to it',
    )

    add_groups(parser)
    add('--name', help='name of the model in the report; default: the config')
    add('--out', help='folder that the metrics write predictions to')
    add('--show-dir', help='folder for painted images')
    add(
        '--tta',
        action='store_true',
        help='average over the views of tta_pipeline, without the calibrator of the '
        'checkpoint',
    )
    one_of = parser.add_mutually_exclusive_group().add_argument
    one_of(
        '--calibrator',
        metavar='FILE',
        help='file of `mmaslp fit`; default: the calibrator in the checkpoint. Also '
        'measures and writes calibrated probabilities',
    )
    one_of('--raw', action='store_true', help='ignore the calibrator in the checkpoint')
    add(
        '--review',
        metavar='FILE',
        help='write which masks to trust (CSV); needs a calibrator',
    )
    add_overwrite(parser)
    add_run_options(parser)


def run(args: argparse.Namespace) -> None:
    """Test, then print the table, what came of it and where the files are."""
    cfg = config_of_run(args)
    from mmengine.dist import is_main_process

    from ..integrations.mmseg import testing

    cfg.load_from = args.checkpoint
    cfg.resume = False
    if args.show_dir:
        testing.draw_predictions(cfg, args.show_dir)
    calibrator = _calibrator_of(args, cfg)
    if args.tta and calibrator is not None:
        _warn_of_views(calibrator)
    _check(args, testing.measures_calibration(cfg, args.eval), calibrator)
    options = _options_of(args, calibrator)
    results = testing.evaluate(cfg, testing.sets_of_test(cfg, args.sets), options)
    if not is_main_process():
        return

    print(f'\n{testing.summary_table(results, options.evals)}\n')
    for sentence in testing.verdicts(results):
        print(f'{sentence}\n')
    print(f'metrics: {osp.join(testing.results_folder(cfg, args.tta), "results.json")}')
    _print_files(results)
    if args.out_prob:
        print(f'maps: {args.out_prob}')
    if args.report:
        _write_report(args, results)


def _calibrator_of(args: argparse.Namespace, cfg: 'Config') -> 'Calibrator | None':
    """The calibrator that is measured beside the network, if any."""
    from ..integrations.mmseg.testing import calibrator_of_test

    if args.raw or (args.tta and not args.calibrator):
        return None
    return calibrator_of_test(
        cfg, args.calibrator, args.checkpoint, args.trust_checkpoint
    )


def _options_of(
    args: argparse.Namespace, calibrator: 'Calibrator | None'
) -> 'EvaluationOptions':
    """How the network is tested."""
    from ..integrations.mmseg.testing import EvaluationOptions

    settings = {}
    if args.tta:
        settings['test-time augmentation'] = str(args.tta)
    if args.cfg_options:
        settings['cfg-options'] = str(args.cfg_options)
    return EvaluationOptions(
        evals=args.eval or (),
        model=args.name or osp.splitext(osp.basename(args.config))[0],
        out=args.out,
        out_prob=args.out_prob,
        tta=args.tta,
        calibrator=calibrator,
        review=args.review,
        report=args.report,
        inputs=(args.checkpoint, args.calibrator),
        settings=settings,
        groups=grouping(args.groups),
        trust_checkpoint=args.trust_checkpoint,
        overwrite=args.overwrite,
    )


def _print_files(results: 'Mapping[str, Tested]') -> None:
    """Say where the files of each set are."""
    from ..integrations.mmseg.testing import FILE

    for name, tested in results.items():
        if tested.results:
            file = osp.join(tested.folder, FILE)
            print(f'{name}: {osp.join(tested.folder, "reliability_test.png")}')
            print(f'{name}, for `mmaslp compare`: {file}')
        if tested.review:
            print(f'review: {tested.review}')


def _write_report(args: argparse.Namespace, results: 'Mapping[str, Tested]') -> None:
    """Write the page of all sets, and say where it is."""
    from ..report.page import write_report

    rows: list[Result] = []
    for tested in results.values():
        rows += tested.results
    write_report(args.report, rows, overwrite=args.overwrite)
    print(f'report: {args.report}')


def _warn_of_views(calibrator: 'Calibrator') -> None:
    """Say so if a calibrator is of one view, and the mean of several is measured."""
    if calibrator.record.get('network'):
        warnings.warn(
            'the calibrator is of the network, and the mean of the views of --tta is '
            'less sure: fit one to maps of validation images (--tta --out-prob DIR)',
            stacklevel=2,
        )


def _check(
    args: argparse.Namespace, measured: bool, calibrator: 'Calibrator | None'
) -> None:
    """Refuse options that would have no effect."""
    if args.calibrator and not (measured or args.review or args.out_prob):
        raise ValueError(
            '--calibrator has no effect on these metrics: add --eval ece, --review or '
            '--out-prob'
        )

    if args.report and not measured:
        raise ValueError('--report needs the metrics of calibration: add --eval ece')
    if args.groups and not (measured or args.review):
        raise ValueError(
            '--groups needs the metrics of calibration: add --eval ece, or --review'
        )
    check_tables({'--review': args.review})
    if not args.review:
        return
    if calibrator is None:
        raise ValueError(
            '--review needs a calibrator: add --calibrator FILE, and leave --raw '
            'out (--tta leaves out that of the checkpoint)'
        )
    calibrator.need_decisions()
