"""How the levels of the bands follow the gaps that validations measure."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# The expected label keeps its side: half of this is below 1/2.
MAX_LEVEL = 0.98
# Bands with a smaller share of the pixels have no gap and no limit of their own.
THIN = 0.01


def follow_gaps(
    levels: Tensor,
    gaps: Sequence[Sequence[float]],
    shares: Sequence[float],
    accuracies: Sequence[float],
    gain: float = 1.0,
) -> Tensor:
    """Levels of the bands after a validation, by the formula of docs/levels.md.

    ``gaps`` are those of up to three validations, the newest last, nan for a band
    without pixels.
    """
    share = torch.tensor(shares, dtype=torch.float64)
    recent = torch.tensor(gaps, dtype=torch.float64).nan_to_num(0.0)
    gap = _spread(_pool_thin_bands(recent.quantile(0.5, 0), share))
    stepped = levels + gain / (1.0 + 2.0 * gain) * 2.0 * gap
    # A network that predicts nothing for one validation has all pixels in the last
    # band, whose accuracy must not wipe out the levels at the border.
    accuracy = torch.tensor(accuracies, dtype=torch.float64)
    limit = 2.0 * (1.0 - accuracy.where(share >= THIN, math.nan))
    return torch.fmin(stepped, limit).clamp_(0.0, MAX_LEVEL)  # nan limits nothing


def _spread(gap: Tensor) -> Tensor:
    """Half of each gap in its band, a quarter in each neighbour; no eigenvalue is 0."""
    wide = torch.cat([gap[:1], gap, gap[-1:]])
    return 0.25 * wide[:-2] + 0.5 * gap + 0.25 * wide[2:]


def _pool_thin_bands(gap: Tensor, share: Tensor) -> Tensor:
    """Give neighbouring bands one gap until they hold 1 % of the pixels together."""
    groups: list[list[int]] = [[]]
    for band in range(len(gap)):
        groups[-1].append(band)
        if share[groups[-1]].sum() >= THIN:
            groups.append([])
    rest = groups.pop()
    if groups:
        groups[-1] += rest
    pooled = gap.clone()
    for group in groups:
        pooled[group] = (gap * share)[group].sum() / share[group].sum()
    return pooled
