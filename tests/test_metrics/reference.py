"""Every metric once more, from its definition, per pixel in float64."""

import itertools

import numpy as np


def scores(prob, label, mode='top_label'):
    prob, label = np.round(np.asarray(prob, np.float64), 12), np.asarray(label)
    if mode == 'positive':
        return prob, label.astype(float)
    # 1 - 0.7 and 0.3 are one score
    return np.maximum(prob, np.round(1 - prob, 12)), (
        (prob > 0.5) == (label == 1)
    ).astype(float)


def bins_equal_width(conf, bins):
    edges = np.arange(bins + 1) / bins
    edges[-1] = 1 + 1e-9
    # float32 copies of k / bins and 1 - p lie a hair beside their edge
    masks = [conf <= edges[1] + 1e-7]
    for low, high in itertools.pairwise(edges[1:]):
        masks.append((conf > low + 1e-7) & (conf <= high + 1e-7))
    return masks


def bins_equal_mass(conf, bins):
    edges = np.quantile(conf, np.arange(1, bins) / bins, method='inverted_cdf')
    place = np.searchsorted(edges, conf, side='left')
    return [place == k for k in range(bins)]


def ece(conf, correct, masks):
    return sum(
        abs(conf[m].mean() - correct[m].mean()) * m.mean() for m in masks if m.any()
    )


def metrics(prob, label, bins=10, mode='top_label'):
    conf, correct = scores(prob, label, mode)
    masks = [m for m in bins_equal_width(conf, bins) if m.any()]
    share = np.array([m.mean() for m in masks])
    c = np.array([conf[m].mean() for m in masks])
    a = np.array([correct[m].mean() for m in masks])
    n = np.array([m.sum() for m in masks])
    noise = np.where(n > 1, a * (1 - a) / np.maximum(n - 1, 1), np.inf)
    square = (share * np.where(n > 1, (c - a) ** 2 - noise, 0)).sum()
    order = np.argsort(conf, kind='stable')
    running = np.cumsum(conf[order] - correct[order])
    last = np.append(np.diff(conf[order]) > 1e-9, True)
    p = np.clip(np.asarray(prob, np.float64), 1e-7, 1 - 1e-7)
    y = np.asarray(label)
    brier = ((conf - correct) ** 2).mean()
    reliability = (share * (c - a) ** 2).sum()
    within = sum(
        m.mean()
        * (
            2 * ((conf[m] - conf[m].mean()) * (correct[m] - correct[m].mean())).mean()
            - conf[m].var()
        )
        for m in masks
    )
    return {
        'ece': (share * abs(c - a)).sum(),
        'oe': (share * c * np.maximum(c - a, 0)).sum(),
        'ue': (share * c * np.maximum(a - c, 0)).sum(),
        'mce': abs(c - a).max(),
        'ace': abs(c - a).mean(),
        'acc': correct.mean(),
        'conf': conf.mean(),
        'ece_em': ece(conf, correct, bins_equal_mass(conf, bins)),
        'ece_debiased': np.sqrt(max(square, 0)),
        'ks': abs(running[last]).max() / len(conf),
        'brier': brier,
        'brier_reliability': reliability,
        'brier_resolution': (share * (a - correct.mean()) ** 2).sum() + within,
        'brier_uncertainty': correct.mean() * (1 - correct.mean()),
        'nll': -np.where(y == 1, np.log(p), np.log(1 - p)).mean(),
    }


def sweep(conf, correct, most=4096):
    """Equal-mass ECE with the last number of bins before accuracies fall."""
    best, number = None, 0
    for bins in range(1, min(len(conf), most) + 1):
        masks = [m for m in bins_equal_mass(conf, bins) if m.any()]
        accuracy = [correct[m].mean() for m in masks]
        if np.any(np.diff(accuracy) < 0):
            break
        best, number = ece(conf, correct, masks), len(masks)
    return best, number


def tie_bounds(conf, correct, cell, middle, reach, bins):
    """How far ties may move (ece_em, ks), pixels of one cell being tied.

    Every pixel has a confidence, an outcome, and a cell from middle - reach to middle
    + reach. The cells in order are those of the confidences.
    """
    place = np.argmax(bins_equal_mass(conf, bins), axis=0)
    names, group = np.unique(cell, return_inverse=True)
    total = np.bincount(group)
    hits = np.bincount(group, weights=correct)
    low, high = np.zeros(len(names)), np.zeros(len(names))
    low[group], high[group] = np.maximum(middle - reach, 0), middle + reach
    rise, fall = (total - hits) * high, hits * (1 - low)
    first, last = np.full(len(names), bins), np.zeros(len(names), int)
    np.minimum.at(first, group, place)
    np.maximum.at(last, group, place)
    n = len(conf)
    mass = 2 * np.maximum(rise, fall)[first < last].sum() / n
    return mass, np.minimum(rise, fall).max() / n
