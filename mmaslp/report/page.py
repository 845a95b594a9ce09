"""The HTML page of a report, and beside it the JSON file of its results."""

import base64
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from ..common.outputs import write_output
from ..evaluation.result import Result
from ..evaluation.result_files import save_result
from ..files.names import short_names, without_folders
from ..metrics.catalogue import metric_of
from ..version import __version__
from .analysis import RESAMPLES, ImageSet, analyse
from .diagrams import band_figure, figure_svg, reliability_figure
from .inputs import PICTURES
from .pictures import galleries
from .tables import comparison, differences, measures, sentences
from .text_table import with_interval


def write_report(
    path: str | Path,
    results: Sequence[Result],
    *,
    argv: Sequence[str] | None = None,
    overwrite: bool = False,
    **options: Any,
) -> None:
    """Write the page, and beside it the JSON file of its results and pictures.

    Of paths both keep the last part only.

    ``argv`` is the command that is noted, by default that of this process;
    :func:`report_html` has the rest.
    """
    results = [_private(result) for result in results]
    command = _command(sys.argv if argv is None else argv)
    created = datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC')
    page = report_html(results, command=command, created=created, **options)
    # Names that are not UTF-8 are shown escaped.
    write_output(path, page.encode(errors='backslashreplace'), overwrite)
    save_result(json_beside(path), results, indent=None, overwrite=overwrite)


def json_beside(path: str | Path) -> Path:
    """Path of the JSON of a page: ``x.report.json`` of ``x.html``."""
    return Path(path).with_suffix('.report.json')


def page_outputs(
    page: str | None, option: str = '--report'
) -> dict[str, str | Path | None]:
    """What a page writes, as :func:`~mmaslp.common.outputs.check_outputs` takes it."""
    if page and page.lower().endswith('.json'):
        raise ValueError(f'{option} {page}: a page of HTML, whose JSON lies beside it')
    beside = json_beside(page) if page else None
    return {option: page, f'{option} (JSON)': beside}


def report_html(
    results: Sequence[Result],
    *,
    title: str = 'Calibration report',
    command: str = '',
    created: str = '',
    resamples: int = RESAMPLES,
) -> str:
    """Make the page of one or more results; the same arguments give the same page.

    Args:
        results (Sequence[Result]): One per model and set, with their names.
        title (str): Defaults to 'Calibration report'.
        command (str): How it was made. Defaults to '': not noted.
        created (str): When. Defaults to ''.
        resamples (int): Of the intervals of differences. Defaults to 1000.

    Raises:
        ValueError: There is no result, or two results have other masks under the same
            names.
    """
    analysis = analyse(results, resamples)
    further = measures(analysis)
    columns = [metric_of(key) for key in analysis.keys]
    columns += further.columns if further else []
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
        differences=differences(analysis),
        sentences=sentences(analysis),
        sets=[
            _set_view(f'{number}', group) for number, group in enumerate(analysis.sets)
        ],
        members=analysis.members,
        with_interval=with_interval,
        glossary=list(dict.fromkeys(columns)),
    )


def page_template(name: str) -> Template:
    """One of the templates of pages, which escapes what it is given."""
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader('mmaslp.report', 'templates'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _set_view(place: str, group: ImageSet) -> dict[str, Any]:
    """What a page shows of one set: its diagrams and its pictures."""
    diagrams = []
    for row, member in enumerate(group.members):
        own = {member.model: member.result}
        name = f'{member.model} on {group.name}'
        label = f'Reliability of {name}'
        pair = [figure_svg(reliability_figure(own), label, f'r{place}-{row}')]
        if member.result.bands:
            label = f'Accuracy and confidence by distance from the border, {name}'
            pair.append(figure_svg(band_figure(own), label, f'b{place}-{row}'))
        diagrams.append(pair)

    return {
        'name': group.name,
        'diagrams': diagrams,
        'galleries': galleries(group, PICTURES),
    }


def _private(result: Result) -> Result:
    """Leave the folders of this machine out of names and settings."""
    names = result.images.names
    short = dict(zip(names, short_names(names)))
    settings = {
        key: without_folders(value) if isinstance(value, str) else value
        for key, value in result.settings.items()
    }

    return replace(
        result,
        model=without_folders(result.model),
        images=replace(result.images, names=[*short.values()]),
        pictures=[
            {**picture, 'name': short[picture['name']]} for picture in result.pictures
        ],
        settings=settings,
    )


def _command(argv: Sequence[str]) -> str:
    name = Path(argv[0]).name if argv else ''
    program = 'mmaslp' if name == '__main__.py' else name
    return shlex.join([program, *map(without_folders, argv[1:])])
