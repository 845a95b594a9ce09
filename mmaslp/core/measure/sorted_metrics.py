"""The metrics that sort all pixels, from fine bins and for many resamples at once."""

import numpy as np

from .bin_table import BinTable, ratio
from .binned_metrics import binned_metrics
from .binning import equal_mass_rows, sweep_rows

__all__ = ['SORTED', 'sorted_metrics']

SORTED = ('ece_em', 'ece_sweep', 'ks')


def sorted_metrics(table: BinTable, bins: int) -> dict[str, np.ndarray]:
    r"""``ece_em``, ``ece_sweep`` and ``ks`` with the pixels of one fine bin tied.

    **Error against single scores.** In fine bin g of w wrong and r correct pixels with
    edges l and h, the running gap :math:`\sum (c - r)` rises by at most
    :math:`U_g = w h` and falls by at most :math:`D_g = r (1 - l)`, in any order. The
    metrics only use the points between two fine bins. So:

    - ``ks`` is never above the exact one, and at most
      :math:`\max_g \min(U_g, D_g) / N` below it;
    - ``ece_em`` is off by at most :math:`\frac2N \sum_g \max(U_g, D_g)` over the fine
      bins that an exact edge cuts, at most ``bins`` - 1 of them;
    - ``ece_sweep`` is off by the same if both sweeps end at the same number of bins. If
      not, both lie between ``|conf - acc|`` and the sum of the gaps of single scores.

    All three are exact if every fine bin holds one score.

    Args:
        table (BinTable): Sums of shape ``(..., K)`` in ascending order, integer except
            ``conf``.
        bins (int): Number of equal-mass bins.

    Returns:
        dict[str, np.ndarray]: ``(...)`` float64 each; nan where there is no pixel.
    """
    shape = table.total.shape
    rows = BinTable(*map(np.atleast_2d, (table.count, table.correct, table.conf)))
    running = np.abs(np.cumsum(rows.conf - rows.correct, -1)).max(-1, initial=0)
    metrics = (
        binned_metrics(equal_mass_rows(rows, bins))['ece'],
        binned_metrics(sweep_rows(rows))['ece'],
        ratio(running, rows.total),
    )
    return {key: value.reshape(shape) for key, value in zip(SORTED, metrics)}
