"""Tables and pictures of what training.py has measured."""

import statistics
from collections import defaultdict

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmaslp.visualization.reliability import reliability_figure

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
}
OOD_COLUMNS = ('ece', 'oe', 'nll', 'acc', 'mae')
BEST_SMOOTHING = 'ls_best'
MEAN = 'mean of the sets'


def collect(records, validation):
    """Sort the figures of the runs.

    Args:
        records (list[dict]): What :func:`training.run` wrote.
        validation (str): Name of the validation set in the records.

    Returns:
        dict: {data: {method: {'test' | 'val' | 'ood': {figure: [one per seed]}}}}, with
        the label smoothing of the least validation ECE as ``ls_best`` beside, and the
        mean over the data sets of each method that all of them have.
    """
    found = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for record in sorted(records, key=lambda r: r['seed']):
        for suffix, sets in record['evaluations'].items():
            row = found[record['data']][record['method'] + suffix]
            for name, entry in sets.items():
                kind = name if name in ('test', validation) else 'ood'
                for key, value in entry['figures'].items():
                    row[kind].setdefault(key, []).append(value)
    found = {data: dict(methods) for data, methods in found.items()}
    for methods in found.values():
        smoothed = [m for m in methods if m.startswith('ls_')]
        if smoothed:
            best = min(
                smoothed, key=lambda m: statistics.fmean(methods[m][validation]['ece'])
            )
            methods[BEST_SMOOTHING] = dict(methods[best], chosen=best)
    if len(found) > 1:
        found[MEAN] = _mean(found)
    return found


def _mean(found):
    """Mean over the data sets, seed by seed."""
    shared = set.intersection(*(set(methods) for methods in found.values()))
    order = [m for m in next(iter(found.values())) if m in shared]
    mean = {}
    for method in order:
        rows = [methods[method] for methods in found.values()]
        mean[method] = {
            kind: {
                key: [_mean_of(values) for values in zip(*(r[kind][key] for r in rows))]
                for key in rows[0][kind]
            }
            for kind in rows[0]
            if kind != 'chosen' and all(kind in row for row in rows)
        }
    return mean


def _mean_of(values):
    return None if None in values else statistics.fmean(values)


def markdown(found, kind, keys):
    """Lay out one kind of test set: mean and standard deviation over the seeds."""
    heads = ' | '.join(COLUMNS[key] for key in keys)
    lines = [f'| data | method | seeds | {heads} |', '|---' * (len(keys) + 3) + '|']
    for data, methods in found.items():
        for method, kinds in methods.items():
            if kind not in kinds:
                continue
            figures = kinds[kind]
            name = method + (f' ({kinds["chosen"]})' if 'chosen' in kinds else '')
            seeds = len(figures['ece'])
            cells = ' | '.join(_cell(key, figures.get(key)) for key in keys)
            lines.append(f'| {data} | {name} | {seeds} | {cells} |')
    return '\n'.join(lines)


def _cell(key, values):
    if not values or None in values:
        return '-'
    digits = 1 if key.endswith('%') else 4
    text = f'{statistics.fmean(values):.{digits}f}'
    if len(values) > 1:
        text += f' ± {statistics.stdev(values):.{digits}f}'
    return text if digits == 1 else text.replace('0.', '.')


def reliability_picture(records, methods, data):
    """Reliability diagrams of some methods on one data set, pixels of all seeds."""
    results = {}
    for method in methods:
        name, plus, rest = method.partition('+')
        entries = [
            record['evaluations'][plus + rest]['test']
            for record in records
            if record['data'] == data and record['method'] == name
        ]
        if entries:
            results[method] = _pooled(entries)
    return reliability_figure(results, width=2.4)


def _pooled(entries):
    bins = {
        key: np.sum([entry['bins'][key] for entry in entries], 0).tolist()
        for key in ('count', 'right', 'conf')
    }
    figures = {
        key: statistics.fmean(entry['figures'][key] for entry in entries)
        for key in ('ece', 'oe', 'ue', 'acc', 'conf')
    }
    images = sum(entry['num_images'] for entry in entries)
    settings = {'mode': 'top_label'}
    return dict(figures, bins=bins, num_images=images, settings=settings)


def alpha_picture(records):
    """Distribution of the levels at the end, one panel per data set and rule."""
    learned = [
        r for r in records if r['alpha'] and r['spec']['hook']['rule'] != 'fixed'
    ]
    if not learned:
        return None
    names = sorted({r['data'] for r in learned})
    methods = sorted({r['method'] for r in learned})
    figure = Figure(
        figsize=(2.6 * len(methods), 1.9 * len(names)), layout='constrained'
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(names), len(methods), squeeze=False)
    for row, data in zip(grid, names):
        for axes, method in zip(row, methods):
            for record in learned:
                if (record['data'], record['method']) == (data, method):
                    axes.hist(record['alpha'], bins=40, histtype='step', density=True)
            axes.set_title(f'{data}, {method}', fontsize=8)
            axes.tick_params(labelsize=7)
    figure.supxlabel('perturbation level of an image (one line per seed)', fontsize=8)
    figure.supylabel('density', fontsize=8)
    return figure
