"""Write one page of several results, which may come from different times.

Results come from a test (calibration_test.json), from `mmaslp eval-maps --json`, and
from earlier reports (x.report.json).

Example:
    mmaslp report bce/eval/test/calibration_test.json aslp.report.json -o page.html
"""

import argparse

from .arguments import add_overwrite


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add = parser.add_argument
    add('results', nargs='+', help='files of results, or of reports')
    add('-o', '--out', required=True, metavar='FILE', help='the page to write (HTML)')
    add('--title', default='Calibration report')
    add_overwrite(parser)


def run(args: argparse.Namespace) -> None:
    """Read the results and write the page."""
    from ..common.outputs import check_outputs
    from ..evaluation.result import load_files
    from ..report.page import json_beside, page_outputs, write_report

    check_outputs(page_outputs(args.out, '-o/--out'), args.results, args.overwrite)
    write_report(
        args.out,
        load_files(args.results),
        overwrite=args.overwrite,
        title=args.title,
    )
    print(f'report: {args.out}\nits JSON: {json_beside(args.out)}')
