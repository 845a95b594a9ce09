"""The HTML page of a report, and beside it the JSON file of its results."""

import base64
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..files.atomic_write import atomic_write
from ..files.private_paths import short_names, without_folders
from ..files.results import save_result
from ..version import __version__
from .analysis import RESAMPLES, Analysis, ImageSet, analyse
from .bands import band_figure
from .breakdowns import Breakdown, breakdowns, by_set
from .gaps import gap_figure
from .glossary import term
from .inputs import PICTURES
from .pictures import galleries
from .reliability import reliability_figure
from .style import figure_svg
from .tables import all_metrics, comparison, differences, gap_table, measures

__all__ = ['json_beside', 'report_html', 'write_report']


def write_report(
    path: str | Path,
    results: Sequence[dict[str, Any]],
    *,
    title: str = 'Calibration report',
    baseline: str = '',
    pictures: int = PICTURES,
    paths: bool = False,
    argv: Sequence[str] | None = None,
) -> None:
    """Write the page, and beside it the JSON file of its results and pictures.

    Args:
        path (str | Path): Of the page; for the JSON see :func:`json_beside`.
        results (Sequence[dict]): One per model and set, see
            :func:`~mmaslp.files.results.calibration_result`; with names of model and
            set.
        title (str): Defaults to 'Calibration report'.
        baseline (str): The model that others are compared with first. Defaults to '':
            the first.
        pictures (int): How many images to show per set and reason. Defaults to 6.
        paths (bool): Keep absolute paths in settings and command. Defaults to False:
            only their last parts.
        argv (Sequence[str], optional): The command that is noted. Defaults to None:
            that of this process.

    Raises:
        ValueError: There is no result, the baseline is not one of the models, or two
            results have other masks under the same names.
    """
    if not paths:
        results = [_private(result) for result in results]
    page = report_html(
        results,
        title=title,
        baseline=baseline,
        pictures=pictures,
        command=_command(sys.argv if argv is None else argv, paths),
        created=datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
    )
    # Names that are not UTF-8 are shown escaped.
    atomic_write(path, page.encode(errors='backslashreplace'))
    save_result(json_beside(path), results, indent=None)


def json_beside(path: str | Path) -> Path:
    """Path of the JSON of a page: ``x.report.json`` of ``x.html``."""
    return Path(path).with_suffix('.report.json')


def report_html(
    results: Sequence[dict[str, Any]],
    *,
    title: str = 'Calibration report',
    baseline: str = '',
    pictures: int = PICTURES,
    command: str = '',
    created: str = '',
    resamples: int = RESAMPLES,
) -> str:
    """Write the page of :func:`write_report`; the same arguments give the same page."""
    analysis = analyse(results, resamples)
    if baseline and baseline not in analysis.models:
        raise ValueError(
            f'the baseline {baseline!r} is none of the models: '
            f'{", ".join(analysis.models)}'
        )
    further = measures(analysis)
    over_sets = by_set(analysis)
    columns = [term(key) for key in analysis.keys]
    columns += further.columns if further else ()
    environment = _environment()
    script = environment.get_template('report.js').render()
    return environment.get_template('report.html.j2').render(
        title=title,
        command=command,
        created=created,
        version=__version__,
        resamples=resamples,
        script=Markup(script),
        # The page admits this script and no other.
        script_hash=base64.b64encode(sha256(script.encode()).digest()).decode(),
        models=analysis.models,
        images=sum(len(group.members[0].images) for group in analysis.sets),
        comparison=comparison(analysis),
        measures=further,
        differences=differences(analysis, baseline),
        sets=[
            _set_view(number, group, analysis, pictures, resamples)
            for number, group in enumerate(analysis.sets)
        ],
        by_set=over_sets and _gap_card(over_sets, analysis, 'sets'),
        details=[
            (member.result, all_metrics(member.result, f'{member.model}, {group.name}'))
            for group in analysis.sets
            for member in group.members
        ],
        glossary=list(dict.fromkeys(columns)),
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader('mmaslp.report', 'templates'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _set_view(
    number: int, group: ImageSet, analysis: Analysis, pictures: int, resamples: int
) -> dict[str, Any]:
    """What a page shows of one set: its diagrams and its pictures."""
    diagrams = []
    for row, member in enumerate(group.members):
        name, place = f'{member.model} on {group.name}', f'{number}-{row}'
        figure = reliability_figure({member.model: member.result})
        pair = [figure_svg(figure, f'Reliability of {name}', f'r{place}')]
        if 'bands' in member.result:
            figure = band_figure({member.model: member.result})
            label = f'Accuracy and confidence by distance from the border, {name}'
            pair.append(figure_svg(figure, label, f'b{place}'))
        diagrams.append(pair)
    divided = breakdowns(group, resamples)
    return {
        'name': group.name,
        'diagrams': diagrams,
        'gaps': [
            _gap_card(each, analysis, f'{number}-{row}')
            for row, each in enumerate(divided)
        ],
        'galleries': galleries(group, pictures),
    }


def _gap_card(breakdown: Breakdown, analysis: Analysis, place: str) -> dict[str, Any]:
    figure = gap_figure(breakdown, list(analysis.models))
    return {
        'svg': figure_svg(figure, breakdown.title, f'g{place}'),
        'table': gap_table(breakdown),
    }


def _private(result: dict[str, Any]) -> dict[str, Any]:
    """Leave the folders of this machine out of names and settings."""
    names = short_names(result['images']['names'])
    settings = {
        key: without_folders(value) if isinstance(value, str) else value
        for key, value in result['settings'].items()
    }
    return {
        **result,
        'model': without_folders(result['model']),
        'images': {**result['images'], 'names': names},
        'settings': settings,
    }


def _command(argv: Sequence[str], paths: bool) -> str:
    name = Path(argv[0]).name if argv else ''
    program = 'mmaslp' if name == '__main__.py' else name
    rest = [each if paths else without_folders(each) for each in argv[1:]]
    return shlex.join([program, *rest])
