"""Test a network of MMSegmentation: calibration, several sets, probability maps.

Example:
    mmaslp test CONFIG work_dirs/run/epoch_30.pth --eval ece iou --report run.html
"""

import argparse
import os.path as osp
from typing import TYPE_CHECKING

from .arguments import CONFIG_HELP, add_run_options, config_of_run

if TYPE_CHECKING:
    from mmengine.config import Config

    from ..core.calibrators import Calibrator

EVALUATIONS = ('ece', 'sod', 'iou')


def add_arguments(parser: argparse.ArgumentParser) -> None:
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
    add('--paths', action='store_true', help='keep absolute paths in the report')
    add('--out', help='folder that the metrics write predictions to')
    add('--show', action='store_true', help='show predictions')
    add('--show-dir', help='folder for painted images')
    add('--wait-time', type=float, default=2, help='seconds, of --show')
    add('--tta', action='store_true', help='average over the views of tta_pipeline')
    add(
        '--calibrator',
        metavar='FILE',
        help='file of `mmaslp fit`: also measure calibrated probabilities, and write '
        'calibrated maps; by default that of the checkpoint, if it holds one',
    )
    add_run_options(parser)


def run(args: argparse.Namespace) -> None:
    """Test, then print the table and where the files are."""
    from mmengine.dist import is_main_process

    from ..hosts.mmseg.result_folders import results_folder
    from ..hosts.mmseg.testing import evaluate, summary_table, test_sets
    from ..report.inputs import PICTURES, results_of_test
    from ..report.page import write_report

    cfg = _make_config(args)
    results = evaluate(
        cfg,
        test_sets(cfg, args.sets),
        evals=args.eval,
        out=args.out,
        out_prob=args.out_prob,
        prob_bits=args.prob_bits,
        tta=args.tta,
        keep_worst=PICTURES if args.report else 0,
        calibrator=_calibrator(args, cfg),
        trust_checkpoint=args.trust_checkpoint,
    )
    if not is_main_process():
        return
    print(f'\n{summary_table(results, args.eval)}\n')
    print(f'metrics: {osp.join(results_folder(cfg, args.tta), "results.json")}')
    for name, entry in results.items():
        if 'result' in entry:
            print(f'{name}: {osp.join(entry["folder"], "reliability_test.png")}')
    if args.report:
        settings = {
            'calibrator': args.calibrator,
            'test-time augmentation': args.tta,
            'cfg-options': args.cfg_options,
        }
        files = {'checkpoint': args.checkpoint, 'config': cfg.filename}
        model = args.name or osp.splitext(osp.basename(args.config))[0]
        shown = results_of_test(results, model, files=files, settings=settings)
        write_report(args.report, shown, paths=args.paths)
        print(f'report: {args.report}')


def _calibrator(args: argparse.Namespace, cfg: 'Config') -> 'Calibrator | None':
    """The calibrator that is named, or that of the checkpoint."""
    from ..core.calibrators import Calibrator
    from ..hosts.mmseg.calibration import calibrator_of_checkpoint
    from ..hosts.mmseg.config import check_checkpoint
    from ..hosts.mmseg.testing import measures_calibration

    if args.calibrator is not None:
        return Calibrator.load(args.calibrator)
    if not measures_calibration(cfg, args.eval):
        return None
    check_checkpoint(args.checkpoint, args.trust_checkpoint)
    return calibrator_of_checkpoint(args.checkpoint, args.trust_checkpoint)


def _make_config(args: argparse.Namespace) -> 'Config':
    """Read the config and apply the options."""
    from ..files.outputs import check_outputs
    from ..hosts.mmseg.testing import draw_predictions, measures_calibration
    from ..report.page import json_beside

    cfg = config_of_run(args)
    inputs = [cfg.filename, args.checkpoint, args.calibrator]
    cfg.load_from = args.checkpoint
    cfg.resume = False
    if args.show or args.show_dir:
        draw_predictions(
            cfg, show=args.show, show_dir=args.show_dir, wait_time=args.wait_time
        )
    if args.report and not measures_calibration(cfg, args.eval):
        raise ValueError('--report needs the metrics of calibration: add --eval ece')
    check_outputs(
        {
            '--report': (args.report, 'report'),
            '--report (JSON)': (args.report and json_beside(args.report), 'result'),
        },
        inputs,
    )
    return cfg
