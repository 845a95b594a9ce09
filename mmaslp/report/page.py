"""The HTML page of a report, and beside it the JSON file of its results."""

import base64
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..common.arguments import check_members
from ..common.options import RESAMPLES
from ..common.outputs import check_outputs, write_output
from ..evaluation.comparison import (
    Comparison,
    Measured,
    by_images,
    compare_within,
)
from ..evaluation.result import Result, save_result
from ..evaluation.verdict import headline, overall_verdict, verdict
from ..files.names import short_names, without_folders
from ..metrics.catalogue import SHOWN
from ..version import __version__
from .diagrams import band_figure, figure_svg, reliability_figure
from .tables import Table, difference_table, estimate, model_table

# The columns that decide, and how many columns fit a page beside the names.
DECIDING = ('ece', 'ece_band', 'nll', 'acc', 'dice')
COLUMNS = 6


def write_report(
    path: str | Path,
    results: Sequence[Result],
    *,
    argv: Sequence[str] | None = None,
    overwrite: bool = False,
    **options: Any,
) -> None:
    """Write the page, and beside it the JSON file of its results.

    Of paths both keep the last part only.

    ``argv`` is the command that is noted, by default that of this process;
    :func:`report_html` has the rest.
    """
    check_outputs(page_outputs(path, 'page'), overwrite=overwrite)
    results = [_private(result) for result in check_members('results', results, Result)]
    if argv is None:
        argv = sys.argv
    page = report_html(
        results,
        command=_command(argv),
        created=time_text(),
        **options,
    )
    # Names that are not UTF-8 are shown escaped.
    write_output(path, page.encode(errors='backslashreplace'), overwrite)
    save_result(json_beside(path), results, indent=None, overwrite=overwrite)


def json_beside(path: str | Path) -> Path:
    """Path of the JSON of a page: ``x.report.json`` of ``x.html``."""
    return Path(path).with_suffix('.report.json')


def page_outputs(
    page: str | Path | None, option: str = '`report`'
) -> dict[str, str | Path | None]:
    """What a page writes, as :func:`~mmaslp.common.outputs.check_outputs` takes it."""
    if not page:
        return {}
    if not str(page).lower().endswith(('.html', '.htm')):
        raise ValueError(f'{option} {page}: a page is a file that ends with .html')
    return {option: page, f'{option} (JSON)': json_beside(page)}


@dataclass(frozen=True)
class Headline:
    """The verdict on the models of a set, and pictures of those that it compares."""

    verdict: str
    dataset: str
    is_positive: bool
    charts: Sequence[Markup]

    @classmethod
    def of(cls, members: Sequence[Measured]) -> 'Headline':
        """Judge the models of a set."""
        first = members[0].result
        charts = []
        for place, member in enumerate(headline(members)):
            charts.append(_reliability(member, f'h{place}'))
        return cls(overall_verdict(members), first.dataset, first.is_positive, charts)


@dataclass(frozen=True)
class ComparedModels:
    """What a page says of two models, and the table of their differences."""

    verdict: str
    table: Table

    @classmethod
    def of(cls, comparison: Comparison) -> 'ComparedModels':
        """Judge two models."""
        table = difference_table(comparison, DECIDING + SHOWN)
        return cls(verdict(comparison), table)


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
        ValueError: Two results have other masks under the same names.
    """
    sets = by_images([Measured(result, resamples) for result in results])
    members = [member for group in sets for member in group]
    # Where nothing is there to be found, rates in the table say it all.
    drawn = [group for group in sets if not group[0].result.no_foreground]
    if not drawn:
        drawn = sets

    comparisons = []
    for group in sets:
        comparisons += compare_within(group)
    diagrams = {}
    for place, group in enumerate(drawn):
        heading = f'{place + 1}. {group[0].result.dataset}'
        charts = []
        for row, member in enumerate(group):
            charts.append(_charts(member, f'{place}-{row}'))
        diagrams[heading] = charts

    intervals = 'Without intervals'
    if any(result.intervals for result in results):
        intervals = 'With 95 % intervals over images'
    tables = [model_table(sets, _deciding(results), intervals)]
    further = _further(results)
    for number, keys in enumerate(further, start=1):
        caption = 'Further metrics'
        if len(further) > 1:
            caption += f', table {number} of {len(further)}'
        tables.append(model_table(sets, keys, caption))

    return render_page(
        'report.html.j2',
        ['report.js'],
        title=title,
        command=command,
        created=created,
        resamples=resamples,
        headline=Headline.of(drawn[0]),
        tables=tables,
        comparisons=[ComparedModels.of(comparison) for comparison in comparisons],
        diagrams=diagrams,
        members=members,
        estimate=estimate,
    )


def render_page(name: str, scripts: Sequence[str], **values: Any) -> str:
    """Fill a template, which escapes what it is given.

    The page admits the scripts that are named, and no other.
    """
    environment = Environment(
        loader=PackageLoader('mmaslp.report', 'templates'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = ''.join(environment.get_template(file).render() for file in scripts)
    digest = sha256(script.encode()).digest()
    return environment.get_template(name).render(
        version=__version__,
        script=Markup(script),
        script_hash=base64.b64encode(digest).decode(),
        **values,
    )


def time_text() -> str:
    """The time of now, as pages note it."""
    return datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC')


def _deciding(results: Sequence[Result]) -> list[str]:
    """The columns that decide, of which some result has a value."""
    measured = _measured(results)
    return [key for key in DECIDING if key in measured]


def _further(results: Sequence[Result]) -> list[list[str]]:
    """Other metrics that some result has, as many to a table as fit."""
    measured = _measured(results)
    keys = [key for key in SHOWN if key in measured and key not in DECIDING]
    for result in results:
        for key in result.measures:
            if key not in measured and key not in keys:
                keys.append(key)
    return [keys[start : start + COLUMNS] for start in range(0, len(keys), COLUMNS)]


def _measured(results: Sequence[Result]) -> set[str]:
    """Metrics of this package that some result has, and of which a side is better."""
    measured: set[str] = set()
    for result in results:
        measured |= result.metrics.keys() - result.undirected
    return measured


def _charts(member: Measured, place: str) -> list[Markup]:
    """Diagrams of a result by confidence and, if it has bands, by distance."""
    result = member.result
    charts = [_reliability(member, f'r{place}')]
    if result.bands:
        label = (
            'Accuracy and confidence by distance from the border, '
            f'{result.model} on {result.dataset}'
        )
        figure = band_figure({result.model: result})
        charts.append(figure_svg(figure, label, f'b{place}'))
    return charts


def _reliability(member: Measured, place: str) -> Markup:
    result = member.result
    figure = reliability_figure({result.model: result})
    label = f'Reliability of {result.model} on {result.dataset}'
    return figure_svg(figure, label, place)


def _private(result: Result) -> Result:
    """Leave the folders of this machine out of names and settings."""
    settings = {}
    for key, value in result.settings.items():
        if isinstance(value, str):
            value = without_folders(value)
        settings[key] = value
    return replace(
        result,
        model=without_folders(result.model),
        images=replace(result.images, names=short_names(result.images.names)),
        settings=settings,
    )


def _command(argv: Sequence[str]) -> str:
    """The command as a person types it, without folders of this machine."""
    name = ''
    if argv:
        name = Path(argv[0]).name
    if name == '__main__.py':
        name = 'mmaslp'
    return shlex.join([name] + [without_folders(word) for word in argv[1:]])
