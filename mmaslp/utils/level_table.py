"""The table of images and levels as a file."""

import csv

import numpy as np

__all__ = ['write_level_table']


def write_level_table(path, ids, levels):
    """Write images and their levels as CSV, lowest level first.

    Args:
        path (str | Path): Where to; its folder must exist.
        ids (list[str]): N image ids.
        levels (np.ndarray): ``(N,)``, the perturbation levels, >= 0.
    """
    order = np.argsort(levels, kind='stable')
    # File names need not be UTF-8; Python hands over such bytes as surrogates.
    with open(
        path, 'w', newline='', encoding='utf-8', errors='surrogateescape'
    ) as file:
        writer = csv.writer(file)
        writer.writerow(['img_path', 'alpha'])
        writer.writerows((ids[i], f'{levels[i]:.8f}') for i in order)
