"""The HTML of a report."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .analysis import RESAMPLES, Analysis, ImageSet, Measured, analyse
from .charts import Chart, gap_chart, reliability_chart, reliability_overlay
from .document import Report
from .errors import breakdowns, by_set
from .gallery import Gallery, galleries
from .glossary import term
from .svg import COLOURS, marker
from .tables import Cell, Row, Table, comparison, differences, measures
from .text_table import metric_text

__all__ = ['report_html']


@dataclass(frozen=True)
class SetView:
    """What a page shows of one set.

    Args:
        name (str): Of the set.
        overlay (Chart | None): Reliability of all models, if there are several.
        reliability (tuple[Chart, ...]): One per model.
        gaps (tuple[Chart, ...]): Where confidence errs.
        galleries (tuple[Gallery, ...]): Pictures.
    """

    name: str
    overlay: Chart | None
    reliability: tuple[Chart, ...]
    gaps: tuple[Chart, ...]
    galleries: tuple[Gallery, ...]


def report_html(report: Report, resamples: int = RESAMPLES) -> str:
    """Write a report as one HTML page that needs no other file.

    The same report gives the same page.

    Args:
        report (Report): The results.
        resamples (int): See :func:`~.analysis.analyse`. Defaults to 1000.

    Raises:
        ValueError: The table of images of a result cannot be used.
    """
    analysis = analyse(report, resamples)
    further = measures(analysis)
    keys = dict.fromkeys(analysis.keys)
    if further is not None:
        keys.update(dict.fromkeys(each.key for each in further.columns))
    over_sets = by_set(analysis)
    common, own = _settings(analysis)
    environment, script = _environment(), _script()
    return environment.get_template('report.html.j2').render(
        report=report,
        script=Markup(script),
        script_hash=base64.b64encode(sha256(script.encode()).digest()).decode(),
        models=[(model, _symbol(index)) for index, model in enumerate(analysis.models)],
        images=sum(len(group.members[0].entry.images) for group in analysis.sets),
        comparison=comparison(analysis),
        measures=further,
        differences=differences(analysis, report.baseline),
        sets=[_view(group, report.pictures, resamples) for group in analysis.sets],
        by_set=None if over_sets is None else gap_chart(over_sets),
        everything=[(m.entry, _everything(m)) for m in analysis.members],
        glossary=[term(key) for key in keys],
        common=common,
        own=own,
        symbol=_symbol,
        resamples=resamples,
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


def _script() -> str:
    """The script as it stands between the tags: its hash allows it, and no other."""
    return _environment().get_template('report.js').render()


def _view(group: ImageSet, pictures: int, resamples: int) -> SetView:
    divided = breakdowns(group, resamples)
    confidence = divided[0]
    several = len(confidence.series) > 1
    return SetView(
        group.name,
        reliability_overlay(confidence) if several else None,
        tuple(reliability_chart(confidence, series) for series in confidence.series),
        tuple(map(gap_chart, divided)),
        tuple(galleries(group, pictures)),
    )


def _everything(member: Measured) -> Table:
    """All metrics of one result."""
    result = member.entry.result
    intervals = result.get('intervals', {})
    rows = []
    for key, value in result.items():
        if isinstance(value, (dict, list, str, bool)):
            continue
        low, high = intervals.get(key) or (None, None)
        whole = isinstance(value, int)
        text = f'{value:,}' if whole else metric_text(value)
        span = '' if low is None or high is None else f'[{low:.4f}, {high:.4f}]'
        rows.append(
            Row((key,), (Cell(text, span, '' if value is None else f'{value}'),))
        )
    name = f'All metrics of {member.entry.model} on {member.entry.dataset}'
    return Table(name, ('metric',), (term('value'),), tuple(rows))


def _settings(
    analysis: Analysis,
) -> tuple[dict[str, str], list[tuple[str, dict[str, str]]]]:
    """Settings that all results share, and those of each that differ."""
    every = [_settings_of(member) for member in analysis.members]
    first, *others = every
    common = {
        key: value
        for key, value in first.items()
        if all(each.get(key) == value for each in others)
    }
    own = [
        (
            f'{member.entry.model}, {member.entry.dataset}',
            {key: value for key, value in each.items() if key not in common},
        )
        for member, each in zip(analysis.members, every)
    ]
    return common, [(name, each) for name, each in own if each]


def _settings_of(member: Measured) -> dict[str, str]:
    settings = {
        key: str(value)
        for key, value in member.entry.result['settings'].items()
        if value is not None
    }
    return {**settings, **member.entry.settings}


def _symbol(index: int) -> Markup:
    """The mark of a model beside its name."""
    shape = marker(index, 7, 7, 4.5)
    return Markup(
        f'<svg class="symbol d{index // COLOURS % 3}" viewBox="0 0 14 14" '
        f'aria-hidden="true" focusable="false">{shape}</svg>'
    )
