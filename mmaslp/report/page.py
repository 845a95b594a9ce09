"""The HTML page of a report, and beside it the JSON file of its results."""

import base64
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..common.arguments import check_members
from ..common.outputs import check_outputs, write_output
from ..evaluation.comparison import (
    RESAMPLES,
    Measured,
    by_images,
    compare_within,
)
from ..evaluation.result import Result, save_result
from ..evaluation.verdict import headline, overall_verdict, verdict
from ..files.names import short_names, without_folders
from ..metrics.catalogue import SHOWN, metric_of
from ..version import __version__
from .diagrams import band_figure, figure_svg, reliability_figure
from .tables import difference_table, estimate, model_table

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
    page = report_html(
        results,
        command=_command(sys.argv if argv is None else argv),
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
    page: str | Path | None, option: str = '--report'
) -> dict[str, str | Path | None]:
    """What a page writes, as :func:`~mmaslp.common.outputs.check_outputs` takes it."""
    if page and not str(page).lower().endswith(('.html', '.htm')):
        raise ValueError(f'{option} {page}: a page is a file that ends with .html')
    return {option: page, f'{option} (JSON)': json_beside(page) if page else None}


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
    # Where nothing is there to be found, rates in the table say it all.
    drawn = [group for group in sets if not group[0].result.no_foreground] or sets
    keys = _keys(results)

    return render_page(
        'report.html.j2',
        ['report.js'],
        title=title,
        command=command,
        created=created,
        resamples=resamples,
        headline={  # the verdict on the models of a set, and one picture of it
            'verdict': overall_verdict(drawn[0]),
            'set': drawn[0][0].result.dataset,
            'positive': drawn[0][0].result.is_positive,
            'charts': [
                _reliability(member, f'h{place}')
                for place, member in enumerate(headline(drawn[0]))
            ],
        },
        table_of_models=model_table(
            sets,
            keys[0],
            'With 95 % intervals over images'
            if any(result.intervals for result in results)
            else 'Without intervals',
        ),
        further=[model_table(sets, part, 'Further metrics') for part in keys[1:]],
        comparisons=[
            (verdict(each), difference_table(each, (*DECIDING, *SHOWN)))
            for group in sets
            for each in compare_within(group)
        ],
        diagrams={
            f'{place + 1}. {group[0].result.dataset}': [
                _charts(member, f'{place}-{row}') for row, member in enumerate(group)
            ]
            for place, group in enumerate(drawn)
        },
        members=[member for group in sets for member in group],
        estimate=estimate,
        glossary=[metric_of(key) for part in keys for key in part],
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
    script = ''.join(environment.get_template(each).render() for each in scripts)
    return environment.get_template(name).render(
        version=__version__,
        script=Markup(script),
        script_hash=base64.b64encode(sha256(script.encode()).digest()).decode(),
        **values,
    )


def time_text() -> str:
    """The time of now, as pages note it."""
    return datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC')


def _keys(results: Sequence[Result]) -> list[list[str]]:
    """Metrics that some result has, by table: first the columns that decide."""
    measured = {
        key for result in results for key in result.metrics.keys() - result.undirected
    }
    shown = [key for key in SHOWN if key in measured and key not in DECIDING]
    others = dict.fromkeys(key for result in results for key in result.measures)
    rest = [*shown, *(key for key in others if key not in measured)]
    parts = [rest[start : start + COLUMNS] for start in range(0, len(rest), COLUMNS)]
    return [[key for key in DECIDING if key in measured], *parts]


def _charts(member: Measured, place: str) -> list[Markup]:
    """Diagrams of a result by confidence and, if it has bands, by distance."""
    result = member.result
    charts = [_reliability(member, f'r{place}')]
    if result.bands:
        label = (
            'Accuracy and confidence by distance from the border, '
            f'{result.model} on {result.dataset}'
        )
        charts.append(
            figure_svg(band_figure({result.model: result}), label, f'b{place}')
        )
    return charts


def _reliability(member: Measured, place: str) -> Markup:
    result = member.result
    return figure_svg(
        reliability_figure({result.model: result}),
        f'Reliability of {result.model} on {result.dataset}',
        place,
    )


def _private(result: Result) -> Result:
    """Leave the folders of this machine out of names and settings."""
    return replace(
        result,
        model=without_folders(result.model),
        images=replace(result.images, names=short_names(result.images.names)),
        settings={
            key: without_folders(value) if isinstance(value, str) else value
            for key, value in result.settings.items()
        },
    )


def _command(argv: Sequence[str]) -> str:
    name = Path(argv[0]).name if argv else ''
    return shlex.join(
        ['mmaslp' if name == '__main__.py' else name, *map(without_folders, argv[1:])]
    )
