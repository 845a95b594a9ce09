#!/usr/bin/env python
"""Test a segmentor: the host's test.py plus calibration, several sets and maps."""

import argparse
import os.path as osp
from collections.abc import Sequence

from mmengine.config import Config
from mmengine.dist import is_main_process

from mmaslp.apis.cli import add_host_arguments, exit_on_user_error, set_local_rank
from mmaslp.apis.config import check_checkpoint, load_config, set_work_dir
from mmaslp.apis.report import PICTURES, test_entries, write_report
from mmaslp.apis.temperature import apply_temperature
from mmaslp.apis.testing import (
    EVALUATIONS,
    draw_predictions,
    evaluate,
    measures_calibration,
    summary_table,
    test_sets,
)
from mmaslp.core.calibration.border_temperature import temperature_text


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description='Test a segmentor')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--eval',
        nargs='+',
        choices=list(EVALUATIONS),
        help='what to measure: calibration, SOD measures, IoU. By default the '
        "config's test_evaluator",
    )
    parser.add_argument('--sets', nargs='+', help='names of test sets, default all')
    parser.add_argument('--out-prob', metavar='DIR', help='write probability maps')
    parser.add_argument('--prob-bits', type=int, choices=(8, 16), default=16)
    parser.add_argument('--report', metavar='FILE', help='write an HTML report')
    parser.add_argument('--name', help='of the model in the report; else the config')
    parser.add_argument(
        '--paths', action='store_true', help='keep absolute paths in the report'
    )
    parser.add_argument('--out', help='folder that the metrics write predictions to')
    parser.add_argument('--show', action='store_true', help='show predictions')
    parser.add_argument('--show-dir', help='folder for painted images')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds, of --show')
    parser.add_argument(
        '--tta', action='store_true', help='average over the views of tta_pipeline'
    )
    parser.add_argument(
        '--temperature',
        nargs='?',
        const='',
        metavar='T|FILE',
        help='divide the logits by T, or by the temperature in a file of '
        'tools/fit_temperature.py, by default CHECKPOINT.temperature.json; by region '
        'where the file has that',
    )
    parser.add_argument(
        '--single-temperature',
        action='store_true',
        help='take the single temperature of a file that has them by region',
    )
    add_host_arguments(parser)
    return parser.parse_args(argv)


def make_config(args: argparse.Namespace) -> Config:
    """Read the config and apply the options."""
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    set_work_dir(cfg, args.config, args.work_dir)
    check_checkpoint(args.checkpoint)
    cfg.load_from = args.checkpoint
    cfg.resume = False
    if args.single_temperature and args.temperature is None:
        raise ValueError('--single-temperature needs --temperature')
    if args.temperature is not None:
        args.temperature = apply_temperature(
            cfg, args.temperature, regions=not args.single_temperature
        )
    if args.show or args.show_dir:
        draw_predictions(
            cfg, show=args.show, show_dir=args.show_dir, wait_time=args.wait_time
        )
    if args.report and not measures_calibration(cfg, args.eval):
        raise ValueError('--report needs the metrics of calibration: add --eval ece')
    if args.report and not osp.isdir(osp.dirname(osp.abspath(args.report))):
        raise ValueError(f'--report {args.report}: its folder does not exist')
    return cfg


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    set_local_rank(args)
    cfg = make_config(args)
    results = evaluate(
        cfg,
        test_sets(cfg, args.sets),
        evals=args.eval,
        out=args.out,
        out_prob=args.out_prob,
        prob_bits=args.prob_bits,
        tta=args.tta,
        keep_worst=PICTURES if args.report else 0,
    )
    if not is_main_process():
        return
    print(f'\n{summary_table(results, args.eval)}\n')
    if args.temperature is not None:
        print(f'temperature: {temperature_text(args.temperature)}')
    print(f'metrics: {osp.join(cfg.work_dir, "eval", "results.json")}')
    for name, entry in results.items():
        if 'result' in entry:
            print(f'{name}: {osp.join(entry["folder"], "reliability_test.png")}')
    if args.report:
        settings = {
            'temperature': args.temperature,
            'test-time augmentation': args.tta,
            'cfg-options': args.cfg_options or '-',
        }
        files = {'checkpoint': args.checkpoint, 'config': args.config}
        model = args.name or osp.splitext(osp.basename(args.config))[0]
        entries = test_entries(results, model, files=files, settings=settings)
        write_report(args.report, entries, paths=args.paths)
        print(f'report: {args.report}')


if __name__ == '__main__':
    main()
