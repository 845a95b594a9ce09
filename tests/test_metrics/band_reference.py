"""Sums and ECE by band once more, from their definition, per pixel in float64."""

import math

import numpy as np
from scipy.ndimage import distance_transform_cdt

from mmaslp.common.bands import BORDER_EDGES


def distances(mask, valid, side):
    """(H, W) chessboard distance in pixels from a cell to the other class's nearest."""
    rows, columns = (np.arange(size) // side for size in mask.shape)
    shape = rows[-1] + 1, columns[-1] + 1
    found = np.zeros(shape)
    for value in (0, 1):
        far = np.ones(shape, bool)
        y, x = np.nonzero((mask == value) & valid)
        far[rows[y], columns[x]] = False
        distance = np.full(shape, np.inf)
        if not far.all():
            distance = distance_transform_cdt(far, 'chessboard') * float(side)
        found = np.maximum(found, distance)
    return found[np.ix_(rows, columns)]


def bands(mask, valid):
    unit = math.sqrt(mask.size) / 64
    side = max(1, int(unit))
    # From the line between the cells, half a cell nearer.
    found = distances(mask, valid, side) - side / 2
    return np.searchsorted(np.array(BORDER_EDGES) * unit, found, 'left')


def pixels(prob, label, ignore_index=255):
    """Confidence, outcome and the band of each border of all valid pixels."""
    prob, label = np.asarray(prob, np.float64), np.asarray(label)
    valid = label != ignore_index
    predicted = prob > 0.5
    everywhere = np.ones_like(valid)
    own = bands(predicted, everywhere), bands(label == 1, valid)
    conf = np.maximum(prob, 1 - prob)
    right = predicted == (label == 1)
    return [each[valid] for each in (conf, right, *own)]


def sums(images, ignore_index=255):
    """(2, B, 3) sums; the confidence in units of 2**-24, rounded per pixel."""
    total = np.zeros((2, len(BORDER_EDGES) + 1, 3), np.int64)
    for prob, label in images:
        conf, right, *own = pixels(prob, label, ignore_index)
        units = np.rint(conf * 2**24).astype(np.int64)
        for border, band in zip(total, own):
            for row, values in zip(border.T, (np.ones_like(units), right, units)):
                np.add.at(row, band, values)
    return total


def errors(images, ignore_index=255):
    """Mean over pixels of the absolute gap of their band, for both borders."""
    parts = [pixels(*image, ignore_index) for image in images]
    conf, right, *own = (np.concatenate(each) for each in zip(*parts))
    found = []
    for band in own:
        gap = {k: (conf - right)[band == k].mean() for k in np.unique(band)}
        found.append(np.mean([abs(gap[k]) for k in band]))
    return found
