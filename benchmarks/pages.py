#!/usr/bin/env python
"""Write the tables of docs/calibration.md from the raw results.

A table stands between two comments, of which the first says what it shows:

    <!-- table: plain_few.json figures data=mean -->
    <!-- end of table -->

- ``figures``: every metric of every method, mean and standard deviation over the seeds.
- ``ratios to=bce+ts``: the figures of the other methods divided by those of one, over
  the seeds that both have.
- ``intervals``: the figures of one seed with their intervals over the images.
- ``sampling``: what validation and test images differ by (sampling.py).
- ``shift``: clean and corrupted images; the name of the file may hold a ``*``.

``data=``, ``methods=`` and ``seed=`` narrow a table down; ``data=mean`` is the mean
over the data sets. After a change of the results:

    python benchmarks/pages.py            # writes the tables
    python benchmarks/pages.py --check    # says which are not those of the results
"""

import argparse
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from jobs import ROOT, VALIDATION
from records import Record, read_json
from shift import KEYS, Shift, read_rows, summarise
from tables import (
    BEST_SMOOTHING,
    COLUMNS,
    MEAN,
    Tables,
    cell,
    collect,
    interval,
    lay_out,
    title,
)

from mmaslp.commands.errors import exit_on_user_error
from mmaslp.files.atomic_write import atomic_write

PAGE = ROOT / 'docs' / 'calibration.md'
RESULTS = ROOT / 'benchmarks' / 'results'
TABLE = re.compile(
    r'(?P<head><!-- table: (?P<file>\S+) (?P<view>\w+)(?P<options>(?: \w+=\S+)*) -->\n)'
    r'(?:(?!<!--).)*(?P<end><!-- end of table -->)',
    re.DOTALL,
)
OURS = 'aslp_fb_border'
WITH_INTERVALS = ('ece', 'ece_em', 'ece_band', 'nll')
WITHOUT_INTERVALS = ('acc', 'mIoU %')
TEST = (*WITH_INTERVALS, *WITHOUT_INTERVALS)
OOD = ('ece', 'nll')
RATIOS = ('ece_band', 'ece_band_true', 'ece_em', 'ece', 'nll', 'brier')


def fill(text: str, results: Path) -> str:
    """Put the tables into a page.

    Args:
        text (str): The page.
        results (Path): Folder of the JSON files.

    Raises:
        ValueError: If a table has no end, or its comment asks for a view or an option
            that there is not, or for something that its file does not hold.
    """

    def written(match: re.Match) -> str:
        head, view = match['head'].strip(), match['view']
        if view not in VIEWS:
            raise ValueError(f'no view {view}, there are {", ".join(VIEWS)}: {head}')
        options = dict(each.split('=', 1) for each in match['options'].split())
        try:
            table = VIEWS[view](sorted(results.glob(match['file'])), **options)
        except (LookupError, TypeError, statistics.StatisticsError) as error:
            raise ValueError(f'{error}: {head}') from error
        return f'{head}\n{table}\n{match["end"]}'

    filled, number = TABLE.subn(written, text)
    if not number == text.count('<!-- table:') == text.count('<!-- end of table -->'):
        raise ValueError(f'only {number} tables of the page are well-formed')
    return filled


def _open(files: Sequence[Path]) -> list[Record]:
    if len(files) != 1:
        raise LookupError(f'{len(files)} files of this name')
    return read_json(files[0])


def _rows(
    found: Tables, data: str, methods: str
) -> tuple[list[tuple[str, str, dict]], bool]:
    """Data set, method and figures of each row; and whether to name the data set."""
    if data == 'mean':
        names = [MEAN]
    else:
        names = data.split(',') if data else sorted({*found} - {MEAN})
    wanted = methods.split(',') if methods else None
    unknown = {*(wanted or [])} - {m for name in names for m in found[name]}
    if unknown:
        raise LookupError(f'no run of {", ".join(sorted(unknown))}')
    rows = []
    for name in names:
        shown = [m for m in found[name] if not m.startswith(BEST_SMOOTHING)]
        shown = wanted or sorted(shown, key=lambda m: m.startswith('aslp'))
        rows += [(name, m, found[name][m]) for m in shown if m in found[name]]
    return rows, len(names) > 1


def _method(method: str) -> str:
    return f'**{title(method)}**' if method == OURS else title(method)


def _heads(columns: Iterable[tuple[str, str]], test: str) -> list[str]:
    return [COLUMNS[key] + ', ood' * (name != test) for name, key in columns]


def figures(files: Sequence[Path], data: str = '', methods: str = '') -> str:
    """A row for each method; for each data set and method if there are several."""
    found, (test,), ood = collect(_open(files), VALIDATION)
    rows, several = _rows(found, data, methods)
    columns = [(test, key) for key in TEST] + [(s, key) for s in ood for key in OOD]
    return lay_out(
        ['data'] * several + ['method', 'seeds', *_heads(columns, test)],
        (
            [name] * several
            + [_method(method), str(len(sets[test]['ece']))]
            + [cell(key, sets.get(s, {}).get(key, {})) for s, key in columns]
            for name, method, sets in rows
        ),
    )


def ratios(files: Sequence[Path], to: str, data: str = '', methods: str = '') -> str:
    """A row for each method but ``to``; also for each data set if there are several."""
    found, (test,), ood = collect(_open(files), VALIDATION)
    rows, several = _rows(found, data, methods)
    columns = [(test, key) for key in RATIOS] + [(name, 'nll') for name in ood]

    def ratio(name: str, sets: dict, place: str, key: str) -> str:
        own, other = sets[place][key], found[name][to][place][key]
        seeds = [seed for seed in own if seed in other]
        means = [statistics.fmean(each[s] for s in seeds) for each in (own, other)]
        return f'{means[0] / means[1]:.2f}'

    return lay_out(
        ['data'] * several + ['method', *_heads(columns, test)],
        (
            [name] * several
            + [_method(method)]
            + [ratio(name, sets, place, key) for place, key in columns]
            for name, method, sets in rows
            if method != to
        ),
    )


def intervals(
    files: Sequence[Path], data: str = '', methods: str = '', seed: str = '0'
) -> str:
    """A row for each data set and method: figures of one seed with 95 % intervals."""
    records = _open(files)
    (test,) = collect(records, VALIDATION)[1]
    entries = [
        (record['data'], record['method'] + suffix, sets[test])
        for record in records
        for suffix, sets in record['evaluations'].items()
        if str(record['seed']) == seed
        if not data or record['data'] in data.split(',')
        if not methods or record['method'] + suffix in methods.split(',')
    ]
    if not entries:
        raise LookupError(f'no run of {methods or "any method"} with seed {seed}')
    return lay_out(
        ['data', 'method', *(COLUMNS[key] for key in TEST)],
        (
            [name, _method(method)]
            + [interval(entry, key) for key in WITH_INTERVALS]
            + [cell(key, {0: entry['figures'][key]}) for key in WITHOUT_INTERVALS]
            for name, method, entry in entries
        ),
    )


def shift(files: Sequence[Path]) -> str:
    """Clean images, and the mean of the severities; then the mean of the data sets."""
    if not files:
        raise LookupError('no file of this name')
    found = {}
    for file in files:
        rows = read_rows(file)
        found[rows[0]['data'].split('/')[0]] = summarise(rows)[0]
    if len(found) > 1:
        found[MEAN] = {
            name: {'mean': {key: _mean_of_sets(found, name, key) for key in KEYS}}
            for name in next(iter(found.values()))
        }
    return lay_out(
        ['data', 'method', 'images', *(COLUMNS[key] for key in KEYS)],
        (
            [data, name, 'corrupted' if severity else 'clean']
            + [cell(key, dict(enumerate(values[key]))) for key in KEYS]
            for data, methods in found.items()
            for name, severities in methods.items()
            for severity, values in severities.items()
            if severity in (0, 'mean')
        ),
    )


def _mean_of_sets(found: dict[str, Shift], name: str, key: str) -> list[float]:
    sets = [methods[name]['mean'][key] for methods in found.values()]
    return [statistics.fmean(map(statistics.fmean, sets))]


def sampling(files: Sequence[Path]) -> str:
    """A row for each table and data set; their mean if all have the same seeds."""
    groups: dict[tuple[str, str], dict[str, list[dict]]] = {}
    for row in _open(files):
        place = row['table'], title(row['method'])
        groups.setdefault(place, {}).setdefault(row['data'], []).append(row)
    rows = []
    for place, sets in groups.items():
        means = {data: _sampling_means(runs) for data, runs in sets.items()}
        for data, runs in sets.items():
            images = ', '.join(map(str, runs[0]['images']))
            rows.append([*place, data, images, str(len(runs)), *means[data]])
        if len(sets) > 1 and len({len(runs) for runs in sets.values()}) == 1:
            mean = [statistics.fmean(column) for column in zip(*means.values())]
            rows.append([*place, MEAN, '', '', *mean])
    places = ['table', 'method', 'data', 'images', 'seeds']
    return lay_out(
        [*places, COLUMNS['ece_band'], 'left', 'random splits'],
        ([*row[:5], *(cell('ece_band', {0: v}) for v in row[5:])] for row in rows),
    )


def _sampling_means(runs: Sequence[dict]) -> list[float]:
    keys = ('error', 'left', 'mean')
    return [statistics.fmean(run[key] for run in runs) for key in keys]


VIEWS: dict[str, Callable[..., str]] = {
    'figures': figures,
    'ratios': ratios,
    'intervals': intervals,
    'sampling': sampling,
    'shift': shift,
}


@exit_on_user_error
def main() -> None:
    """Write the tables, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='write nothing')
    check = parser.parse_args().check
    text = PAGE.read_text(encoding='utf-8')
    filled = fill(text, RESULTS)
    if not check:
        atomic_write(PAGE, filled)
    elif filled != text:
        raise ValueError(f'{PAGE} has other tables than {RESULTS}: run {__file__}')


if __name__ == '__main__':
    main()
