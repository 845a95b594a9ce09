"""Test a network of MMSegmentation: calibration, several sets, probability maps.

Example:
    mmaslp test CONFIG work_dirs/run/epoch_30.pth --eval ece iou --report run.html
"""

from __future__ import annotations

import argparse
import os.path as osp
from typing import TYPE_CHECKING

from .arguments import (
    CONFIG_HELP,
    CommandParser,
    add_overwrite,
    add_run_options,
    config_of_run,
)

if TYPE_CHECKING:
    from ..evaluation.result import Tested

EVALUATIONS = ('ece', 'sod', 'iou')


def add_arguments(parser: CommandParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('config', help=CONFIG_HELP)
    add('checkpoint', help='checkpoint file')
    add(
        '--eval',
        nargs='+',
        choices=EVALUATIONS,
        help='what to measure: calibration, SOD measures, IoU. By default the '
        "config's test_evaluator",
    )
    add('--sets', nargs='+', help='names of test sets, default all')
    add('--out-prob', metavar='DIR', help='write probability maps')
    add('--prob-bits', type=int, choices=(8, 16), default=16)
    add(
        '--report',
        metavar='FILE',
        help='write an HTML report, and beside it the JSON file of its results',
    )

    add('--name', help='of the model in the report; else the config')
    add('--out', help='folder that the metrics write predictions to')
    add('--show', action='store_true', help='show predictions')
    add('--show-dir', help='folder for painted images')
    add('--wait-time', type=float, default=2, help='seconds, of --show')
    add('--tta', action='store_true', help='average over the views of tta_pipeline')
    add(
        '--calibrator',
        metavar='FILE',
        help='file of `mmaslp fit`: also measure calibrated probabilities, and let '
        '--out-prob write calibrated maps; by default that of the checkpoint, if it '
        'holds one',
    )
    add(
        '--review',
        metavar='FILE',
        help='write which masks to trust, as `mmaslp review` does (CSV); needs a '
        'calibrator',
    )
    add_overwrite(parser)
    add_run_options(parser)


def run(args: argparse.Namespace) -> None:
    """Test, then print the table and where the files are."""
    cfg = config_of_run(args)
    from mmengine.dist import is_main_process

    from ..common.outputs import check_outputs
    from ..integrations.mmseg import testing
    from ..report.inputs import PICTURES
    from ..report.page import page_outputs

    cfg.load_from = args.checkpoint
    cfg.resume = False
    if args.show or args.show_dir:
        testing.draw_predictions(cfg, args.show, args.show_dir, args.wait_time)
    measured = testing.measures_calibration(cfg, args.eval)
    if args.report and not measured:
        raise ValueError('--report needs the metrics of calibration: add --eval ece')
    inputs = [cfg.filename, args.checkpoint, args.calibrator]
    check_outputs(page_outputs(args.report), inputs, args.overwrite)
    calibrator = testing.calibrator_of_test(
        cfg, args.calibrator, args.checkpoint, args.trust_checkpoint
    )
    if args.calibrator and not (measured or args.out_prob or args.review):
        raise ValueError(
            '--calibrator has no effect without --eval ece, --out-prob or --review'
        )
    if args.review:
        if calibrator is None:
            raise ValueError('--review needs a calibrator: add --calibrator FILE')
        calibrator.calibrator.need_decisions()
    results = testing.evaluate(
        cfg,
        testing.test_sets(cfg, args.sets),
        evals=args.eval,
        out=args.out,
        out_prob=args.out_prob,
        prob_bits=args.prob_bits,
        tta=args.tta,
        keep_worst=PICTURES if args.report else 0,
        calibrator=calibrator,
        review=args.review,
        trust_checkpoint=args.trust_checkpoint,
        overwrite=args.overwrite,
    )
    if not is_main_process():
        return
    print(f'\n{testing.summary_table(results, args.eval)}\n')
    for sentence in testing.in_words(results):
        print(f'{sentence}\n')
    print(f'metrics: {osp.join(testing.results_folder(cfg, args.tta), "results.json")}')
    for name, entry in results.items():
        if entry.result is not None:
            print(f'{name}: {osp.join(entry.folder, "reliability_test.png")}')
    for name in results if args.review else ():
        file = testing.review_file(args.review, name, len(results) > 1)
        print(f'review: {file}')
    if args.report:
        _report(args, cfg.filename, results)


def _report(args: argparse.Namespace, config: str, results: dict[str, Tested]) -> None:
    """Write the page, and name it."""
    from ..report.inputs import results_of_test
    from ..report.page import write_report

    settings = {
        'test-time augmentation': args.tta,
        'cfg-options': args.cfg_options,
    }
    files = {'checkpoint': args.checkpoint, 'config': config}
    model = args.name or osp.splitext(osp.basename(args.config))[0]
    entries = results_of_test(results, model, files=files, settings=settings)
    write_report(args.report, entries, overwrite=args.overwrite)
    print(f'report: {args.report}')
