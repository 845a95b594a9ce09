"""The figures that sort all pixels, from narrow bins and for many resamples at once."""

import numpy as np

from .bin_table import BinTable, ratio
from .binned_metrics import binned_figures
from .binning import equal_mass_rows, sweep_rows

TIED = ('ece_em', 'ece_sweep', 'ks')


def tied_figures(table, bins):
    r"""``ece_em``, ``ece_sweep`` and ``ks`` with the pixels of one narrow bin tied.

    **Error against single scores.** In narrow bin g of w wrong and r right pixels with
    edges l and h, the running gap :math:`\sum (c - r)` rises by at most
    :math:`U_g = w h` and falls by at most :math:`D_g = r (1 - l)`, whatever the order
    inside. Only the points between two narrow bins are looked at, hence:

    - ``ks`` is never above the exact one, and at most
      :math:`\max_g \min(U_g, D_g) / N` below it;
    - ``ece_em`` is off by at most :math:`\frac2N \sum_g \max(U_g, D_g)` over the narrow
      bins that an exact edge cuts, at most ``bins`` - 1 of them;
    - ``ece_sweep`` is off by the same if both sweeps end at one number of bins. If not,
      both lie between ``|conf - acc|`` and the sum of the gaps of single scores.

    All three are exact where every narrow bin holds one score.

    Args:
        table (BinTable): of (..., K) sums in ascending order, integer but for ``conf``.
        bins (int): Number of equal-mass bins.

    Returns:
        dict[str, np.ndarray]: (...) float64 each; nan where there is no pixel.
    """
    shape = table.total.shape
    rows = BinTable(*map(np.atleast_2d, (table.count, table.right, table.conf)))
    running = np.abs(np.cumsum(rows.conf - rows.right, -1)).max(-1, initial=0)
    figures = (
        binned_figures(equal_mass_rows(rows, bins))['ece'],
        binned_figures(sweep_rows(rows))['ece'],
        ratio(running, rows.total),
    )
    return {key: value.reshape(shape) for key, value in zip(TIED, figures)}
