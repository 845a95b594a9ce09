"""Tables and figures of the results of training.py."""

import re
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from records import Record

from mmaslp.core.measure import BORDERS, BinTable
from mmaslp.report.bands import band_figure
from mmaslp.report.reliability import reliability_figure

COLUMNS = {
    'ece': 'ECE',
    'ece_em': 'ECE-EM',
    'oe': 'OE',
    'nll': 'NLL',
    'brier': 'Brier',
    'acc': 'accuracy',
    'mIoU %': 'mIoU %',
    'max_f': 'max F',
    'mae': 'MAE',
    'ece_band': 'ECE band',
    'ece_band_true': 'ECE true band',
}
OOD_COLUMNS = ('ece', 'oe', 'nll', 'acc', 'mae', 'ece_band')
INTERVAL_COLUMNS = ('ece', 'ece_em', 'ece_band', 'nll', 'acc')
BEST_SMOOTHING = 'ls_best'
# What pages and pictures call the methods, and what is fitted to them.
TITLES = {
    'bce': 'BCE',
    'ls': 'label smoothing',
    'svls': 'SVLS',
    'crac': 'CRaC',
    'aslp_me': 'ASLP-ME',
    'aslp_mc': 'ASLP-MC',
    'aslp_fb': 'ASLP-FB',
    'aslp_fb_border': 'ASLP-FB by band',
}
FITTED_TITLES = {
    'ts': 'temperature',
    'rts': 'temperature by band',
    'lts': 'local temperatures (LTS)',
    'ibts': 'image-based temperatures (IBTS)',
}
MEAN = 'mean of the sets'

# {data: {method: {set: {metric: {seed: value}}}}}
Tables = dict[str, dict[str, dict[str, dict[str, dict[int, float | None]]]]]


def title(method: str) -> str:
    """What a page or a picture calls a method, as in ``bce+ts`` or ``ls_0.1``."""
    name, plus, fitted = method.partition('+')
    if name.startswith('ls_'):
        name = f'{TITLES["ls"]} {name.removeprefix("ls_")}'
    name = TITLES.get(name, name)
    return f'{name}, {FITTED_TITLES.get(fitted, fitted)}' if plus else name


def collect(
    records: Sequence[Record], validation: str
) -> tuple[Tables, list[str], list[str]]:
    """Sort the metrics of the runs.

    Args:
        records (Sequence[Record]): What :func:`training.run` wrote.
        validation (str): Name of the validation set in the records.

    Returns:
        tuple[Tables, list[str], list[str]]: Metrics of every run; also ``ls_best``, the
        label smoothing with the lowest validation ECE (``bce`` is that of 0), and the
        mean over the data sets of each method and seed that all of them have; the names
        of the test sets; and the names of the sets without objects.
    """
    found: Tables = {}
    names: dict[bool, list[str]] = {True: [], False: []}
    for record in sorted(records, key=lambda r: r['seed']):
        for suffix, sets in record['evaluations'].items():
            methods = found.setdefault(record['data'], {})
            row = methods.setdefault(record['method'] + suffix, {})
            for name, entry in sets.items():
                if name != validation and name not in names[entry['ood']]:
                    names[entry['ood']].append(name)
                for key, value in entry['figures'].items():
                    by_seed = row.setdefault(name, {}).setdefault(key, {})
                    by_seed[record['seed']] = value
    for methods in found.values():
        smoothed = [m for m in methods if m.startswith('ls_') or m == 'bce']
        if len(smoothed) > 1:
            best = min(
                smoothed,
                key=lambda m: statistics.fmean(methods[m][validation]['ece'].values()),
            )
            methods[f'{BEST_SMOOTHING} ({best})'] = methods[best]
    if len(found) > 1:
        found[MEAN] = _mean(list(found.values()))
    return found, names[False], names[True]


def _mean(tables: list[dict]) -> dict:
    """Mean over the data sets, seed by seed."""
    tables = [
        {m.partition(' (')[0]: row for m, row in table.items()} for table in tables
    ]
    mean = {}
    for method in tables[0]:
        rows = [table[method] for table in tables if method in table]
        if len(rows) < len(tables):
            continue
        means = {
            name: {
                key: _mean_by_seed([row[name][key] for row in rows])
                for key in rows[0][name]
                if all(key in row[name] for row in rows)
            }
            for name in rows[0]
            if all(name in row for row in rows)
        }
        if all(metrics['ece'] for metrics in means.values()):
            mean[method] = means
    return mean


def _mean_by_seed(values: list[dict]) -> dict:
    seeds = [s for s in values[0] if all(s in each for each in values)]
    columns = {seed: [each[seed] for each in values] for seed in seeds}
    return {s: None if None in c else statistics.fmean(c) for s, c in columns.items()}


def markdown(found: Tables, names: Sequence[str], keys: Iterable[str]) -> str:
    """Lay out some of the sets: mean and standard deviation over the seeds.

    Args:
        found (Tables): See :func:`collect`.
        names (Sequence[str]): Names of the sets.
        keys (Iterable[str]): Metrics, of :data:`COLUMNS`; those that no run has are
            left out.
    """
    measured = {
        key
        for methods in found.values()
        for sets in methods.values()
        for name in names
        for key in sets.get(name, {})
    }
    keys = [key for key in keys if key in measured]
    rows = []
    for data, methods in found.items():
        for name in names:
            label = f'{data}, {name}' if len(names) > 1 else data
            for method, sets in methods.items():
                metrics = sets.get(name, {})
                cells = [cell(key, metrics.get(key, {})) for key in keys]
                rows.append([label, method, str(len(metrics.get('ece', {}))), *cells])
    return lay_out(['data', 'method', 'seeds', *(COLUMNS[key] for key in keys)], rows)


def interval_markdown(records: Sequence[Record], keys: Iterable[str]) -> str:
    """Lay out the figures of every run with their intervals over the images.

    Args:
        records (Sequence[Record]): What :func:`training.run` wrote.
        keys (Iterable[str]): Metrics, of :data:`COLUMNS`; those without intervals are
            left out.

    Returns:
        str: A row for each run and set that has intervals; '' without any.
    """
    rows = [
        ((record['data'], name, record['method'] + suffix, record['seed']), entry)
        for record in records
        for suffix, sets in record['evaluations'].items()
        for name, entry in sets.items()
        if entry.get('intervals')
    ]
    keys = [key for key in keys if any(key in entry['intervals'] for _, entry in rows)]
    if not keys:
        return ''
    return lay_out(
        ['data', 'set', 'method', 'seed', *(COLUMNS[key] for key in keys)],
        [
            [*map(str, place), *(interval(entry, key) for key in keys)]
            for place, entry in sorted(rows, key=lambda row: row[0])
        ],
    )


def lay_out(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown of cells."""
    lines = [f'| {" | ".join(line)} |' for line in (heads, *rows)]
    return '\n'.join([lines[0], '|---' * len(heads) + '|', *lines[1:]])


def interval(entry: dict[str, Any], key: str) -> str:
    """A figure of a run on a set with its interval, ``-`` where it has none."""
    values = [entry['figures'].get(key), *entry['intervals'].get(key, [None])]
    if None in values:
        return '-'
    middle, low, high = (_short(f'{value:.4f}') for value in values)
    return f'{middle} [{low}, {high}]'


def _short(text: str) -> str:
    """Without the zero before a decimal point."""
    return re.sub(r'\b0\.', '.', text)


def cell(key: str, by_seed: dict[int, float | None]) -> str:
    """Mean and standard deviation of a figure, ``-`` where a seed has none."""
    values = list(by_seed.values())
    if not values or None in values:
        return '-'
    digits = 1 if key.endswith('%') else 4
    text = f'{statistics.fmean(values):.{digits}f}'
    if len(values) > 1:
        text += f' ± {statistics.stdev(values):.{digits}f}'
    return text if digits == 1 else _short(text)


def reliability_picture(
    records: Sequence[Record], methods: Sequence[str], data: str, test: str
) -> Figure | None:
    """Reliability diagrams of some methods on one test set, pixels of all seeds.

    Returns:
        matplotlib.figure.Figure | None: None if no run has it.
    """
    found = _entries(records, methods, data, test)
    results = {method: _pooled(entries) for method, entries in found.items()}
    return reliability_figure(results, width=2.9) if results else None


def band_picture(
    records: Sequence[Record], methods: Sequence[str], data: str, test: str
) -> Figure | None:
    """Accuracy and confidence by distance from the predicted border.

    The bands hold the pixels of all seeds. The error above them is the mean of the
    seeds': gaps of different signs do not cancel in it.

    Returns:
        matplotlib.figure.Figure | None: None if no run has it.
    """
    found = _entries(records, methods, data, test)
    results = {
        method: _pooled_bands(entries)
        for method, entries in found.items()
        if all('bands' in entry for entry in entries)
    }
    return band_figure(results, 2.9) if results else None


def _entries(
    records: Sequence[Record], methods: Sequence[str], data: str, test: str
) -> dict[str, list[dict]]:
    """What the runs of each method measured on a set, by title; if they have it."""
    found = {}
    for method in methods:
        name, plus, rest = method.partition('+')
        entries = [
            sets[test]
            for record in records
            if record['data'] == data and record['method'] == name
            if test in (sets := record['evaluations'].get(plus + rest, {}))
        ]
        if entries:
            found[title(method)] = entries
    return found


def _pooled_bands(entries: list[dict]) -> dict[str, Any]:
    border = BORDERS[0]
    table = BinTable(
        *(
            np.sum([entry['bands'][border][key] for entry in entries], 0)
            for key in ('count', 'right', 'conf')
        )
    )
    bands = dict(
        count=table.count,
        share=table.weight,
        accuracy=table.accuracy,
        confidence=table.mean_conf,
    )
    return dict(
        ece_band=statistics.fmean(e['figures']['ece_band'] for e in entries),
        bands=dict(edges=entries[0]['bands']['edges'], **{border: bands}),
    )


def _pooled(entries: list[dict]) -> dict[str, Any]:
    bins = {
        key: np.sum([entry['bins'][key] for entry in entries], 0).tolist()
        for key in ('count', 'right', 'conf')
    }
    metrics = {
        key: statistics.fmean(entry['figures'][key] for entry in entries)
        for key in ('ece', 'oe', 'ue', 'acc', 'conf')
    }
    return dict(
        metrics,
        bins=bins,
        num_images=entries[0]['num_images'],
        num_seeds=len(entries),
        settings={'mode': 'top_label'},
    )


def _span(levels: Sequence[float]) -> tuple[float, float]:
    """Range of a histogram, not empty even if all levels are the same."""
    low, high = min(levels), max(levels)
    return (low, high) if high > low else (low, low + 0.01)


def alpha_picture(records: Sequence[Record]) -> Figure | None:
    """Distribution of the levels at the end, one panel per data set and rule."""
    learned = [
        r for r in records if r['alpha'] and r['spec']['hook']['rule'] != 'fixed'
    ]
    if not learned:
        return None
    names = sorted({r['data'] for r in learned})
    methods = sorted({r['method'] for r in learned})
    figure = Figure(
        figsize=(max(2.6 * len(methods), 4), 1.9 * len(names)), layout='constrained'
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(names), len(methods), squeeze=False)
    for row, data in zip(grid, names):
        for axes, method in zip(row, methods):
            for record in learned:
                if (record['data'], record['method']) == (data, method):
                    axes.hist(
                        record['alpha'],
                        bins=40,
                        range=_span(record['alpha']),
                        histtype='step',
                        density=True,
                    )
            axes.set_xlim(left=max(axes.get_xlim()[0], 0))
            axes.set_title(f'{data}, {method}', fontsize=8)
            axes.tick_params(labelsize=7)
    figure.supxlabel('perturbation level of an image (one line per seed)', fontsize=8)
    figure.supylabel('density', fontsize=8)
    return figure
