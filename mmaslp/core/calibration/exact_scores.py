"""The scores themselves, as long as they are few."""

import numpy as np
import torch

from .score_table import ScoreLevels

# Above this many pixels one more or less in a bin moves no figure by 1e-5 any longer.
MOST = 2**18
# Steps between the middle and an end of an open cell; with as many all sums of MOST
# scores are integers below 2**53, which float64 holds exactly.
STEPS = 2**16


class FewScores:
    """Scores and outcomes of up to ``MOST`` pixels, beside the cells of a histogram.

    A cell counts all its scores as one. Where a single pixel weighs much this matters
    to the figures that sort all pixels, so they come from the scores as long as these
    are few: in units of 1 / (2 * levels * ``STEPS``) = 5.8e-11, and on a level where
    the cells say so. Scores are kept as they come; all work is done when one asks.

    Args:
        levels (int): Number of levels of the histogram.
        to_cells (Callable): Gives the cell of each of (P,) scores: 2 i on level i,
            2 i + 1 between i and i + 1.
    """

    def __init__(self, levels, to_cells):
        self.unit = 2 * levels * STEPS
        self.number = 0
        self._to_cells = to_cells
        self._parts = []
        self._codes = [torch.zeros(0, dtype=torch.int64)]

    def add(self, score, outcome):
        """Keep the pixels of one image or batch.

        Args:
            score (Tensor): (P,) in [0, 1].
            outcome (Tensor): (P,) of {0, 1}.
        """
        self._parts.append((score.clone(), outcome.to(torch.uint8, copy=True)))
        self.number += len(score)

    def add_codes(self, codes):
        """Keep the pixels of a state.

        Args:
            codes (Tensor): What :meth:`codes` returned.
        """
        self._codes.append(codes)
        self.number += len(codes)

    def join(self, other):
        """Keep the pixels of another one, too.

        Args:
            other (FewScores): Of as many levels; unchanged.
        """
        self._parts += other._parts
        self._codes += other._codes
        self.number += other.number

    def codes(self):
        """Tensor: (P,) int64 on the CPU, twice the score and the outcome, ascending."""
        made = [self._encode(*part).cpu() for part in self._parts]
        if made or len(self._codes) > 1:
            self._codes = [torch.cat([*self._codes, *made]).sort().values]
            self._parts = []
        return self._codes[0]

    def _encode(self, score, outcome):
        cells = self._to_cells(score).long()
        middle = cells * STEPS
        fine = (score.double() * self.unit).round().long()
        fine = torch.clamp(fine, middle - STEPS + 1, middle + STEPS - 1)
        return 2 * torch.where(cells % 2 == 0, middle, fine) + outcome

    def score_levels(self, fold):
        """List the distinct scores with their outcomes.

        Args:
            fold (bool): Whether the score is max(p, 1 - p) and the outcome whether the
                prediction p > 0.5 is right, instead of p and the label.

        Returns:
            ScoreLevels: Empty if there are no pixels.
        """
        codes = self.codes().numpy()
        score, right = codes >> 1, codes & 1
        if fold:
            foreground = score > self.unit // 2
            score = np.where(foreground, score, self.unit - score)
            right = right == foreground
        distinct, place = np.unique(score, return_inverse=True)
        count = np.bincount(place, minlength=len(distinct))
        right = np.bincount(place, weights=right, minlength=len(distinct))
        return ScoreLevels(distinct, count, right.astype(np.int64), self.unit)
