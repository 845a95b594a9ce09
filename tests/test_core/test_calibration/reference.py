"""Every figure once more, from its definition, per pixel in float64."""

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


def ece(conf, right, masks):
    return sum(
        abs(conf[m].mean() - right[m].mean()) * m.mean() for m in masks if m.any()
    )


def figures(prob, label, bins=10, mode='top_label'):
    conf, right = scores(prob, label, mode)
    masks = [m for m in bins_equal_width(conf, bins) if m.any()]
    share = np.array([m.mean() for m in masks])
    c = np.array([conf[m].mean() for m in masks])
    a = np.array([right[m].mean() for m in masks])
    n = np.array([m.sum() for m in masks])
    noise = np.where(n > 1, a * (1 - a) / np.maximum(n - 1, 1), np.inf)
    square = (share * np.where(n > 1, (c - a) ** 2 - noise, 0)).sum()
    order = np.argsort(conf, kind='stable')
    running = np.cumsum(conf[order] - right[order])
    last = np.append(np.diff(conf[order]) > 1e-9, True)
    p = np.clip(np.asarray(prob, np.float64), 1e-7, 1 - 1e-7)
    y = np.asarray(label)
    brier = ((conf - right) ** 2).mean()
    reliability = (share * (c - a) ** 2).sum()
    within = sum(
        m.mean()
        * (
            2 * ((conf[m] - conf[m].mean()) * (right[m] - right[m].mean())).mean()
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
        'acc': right.mean(),
        'conf': conf.mean(),
        'median_gap': np.median(np.repeat(c - a, n)),
        'ece_em': ece(conf, right, bins_equal_mass(conf, bins)),
        'ece_debiased': np.sqrt(max(square, 0)),
        'ks': abs(running[last]).max() / len(conf),
        'brier': brier,
        'brier_reliability': reliability,
        'brier_resolution': (share * (a - right.mean()) ** 2).sum() + within,
        'brier_uncertainty': right.mean() * (1 - right.mean()),
        'nll': -np.where(y == 1, np.log(p), np.log(1 - p)).mean(),
    }


def sweep(conf, right, most=4096):
    """Equal-mass ECE with the last number of bins before accuracies fall."""
    best, number = None, 0
    for bins in range(1, min(len(conf), most) + 1):
        masks = [m for m in bins_equal_mass(conf, bins) if m.any()]
        accuracy = [right[m].mean() for m in masks]
        if np.any(np.diff(accuracy) < 0):
            break
        best, number = ece(conf, right, masks), len(masks)
    return best, number
