"""Losses of other authors for binary maps, each by its paper.

Each is a module: ``loss(logits, labels)`` of ``(N, H, W)``, labels of 0.0 and 1.0.
Those that learn from a validation have ``observe(logits, labels)``.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmaslp import BandTable
from mmaslp.common.bands import border_bands

__all__ = ['RIVALS']

BANDS = 5


class SVLS(nn.Module):
    """Spatially Varying Label Smoothing: cross entropy against blurred labels.

    In the 3 x 3 window the pixel weighs 1 and its neighbours, by a Gaussian of sigma 1,
    weigh 1 together; the edge of the image is repeated.

    Source: `Islam and Glocker <https://arxiv.org/abs/2104.05788>`_ (IPMI 2021).
    """

    def __init__(self) -> None:
        super().__init__()
        axis = torch.tensor([math.exp(-0.5), 1.0, math.exp(-0.5)])
        window = axis[:, None] * axis
        window[1, 1] = 0
        window /= window.sum()
        window[1, 1] = 1
        self.register_buffer('window', (window / 2)[None, None])

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        wide = F.pad(labels[:, None], (1, 1, 1, 1), mode='replicate')
        target = F.conv2d(wide, self.window)[:, 0]
        return F.binary_cross_entropy_with_logits(logits, target)


class CRaC(nn.Module):
    """Class and Region adaptive Constraints: cross entropy and a learned pull.

    The logit is pulled to m (2 s - 1), where s is the share of the foreground in the
    3 x 3 window; m is 1 in mixed windows and 5 else. The multipliers of both regions
    are those of an augmented Lagrangian, moved after each validation. One logit z
    stands for the pair (c, z + c) of the least penalty, so both classes share h.

    Source: `Murugesan et al. <https://arxiv.org/abs/2403.12364>`_ (MICCAI 2024), with
    the values of the authors' commands.
    """

    margin, growth, enough, interval = 5.0, 1.2, 0.9, 10

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer('lam', torch.full((2,), 1e-6))
        self.register_buffer('rho', torch.full((2,), 0.1))
        self.register_buffer('last', torch.full((2,), math.inf))
        self.register_buffer('updates', torch.zeros((), dtype=torch.long))

    def constraints(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Constraint and region, 1 inside, of every pixel."""
        share = F.avg_pool2d(labels[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
        inside = ((share <= 0) | (share >= 1)).long()
        margin = torch.where(inside > 0, self.margin, 1.0)
        return 0.5 * (margin * (2 * share - 1) - logits).abs(), inside

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        h, region = self.constraints(logits, labels)
        # Two classes with the same constraint, a quarter of the sum over both.
        pull = (self.lam[region] * h + 0.5 * self.rho[region] * h**2).mean() / 2
        return F.binary_cross_entropy_with_logits(logits, labels) + pull

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        h, region = self.constraints(logits, labels.float())
        sums = torch.zeros(2).index_add(0, region.flatten(), h.flatten())
        mean = sums / labels.numel()
        self.lam.add_(self.rho * mean).clamp_(1e-6, 1e6)
        self.updates += 1
        if self.updates % self.interval == 0:
            stuck = mean > self.enough * self.last
            grown = (self.growth * self.rho).clamp(max=10.0)
            self.rho.copy_(torch.where(stuck, grown, self.rho))
        self.last.copy_(mean)


class ML1ACE(nn.Module):
    """Half cross entropy, half marginal L1 average calibration error of each image.

    20 hard bins per class that the image shows; by band, 20 bins in each band of
    distance from the label's border, so that the error is one by band.

    Source: `Barfoot et al. <https://arxiv.org/abs/2403.06759>`_ (MICCAI 2024), the
    authors' weights; the bands are ours.
    """

    bins = 20

    def __init__(self, by_band: bool = False) -> None:
        super().__init__()
        self.by_band = by_band

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        band = border_bands(labels).long() if self.by_band else 0
        error = 0
        for prob, shown in (
            (torch.sigmoid(logits), labels),
            (torch.sigmoid(-logits), 1 - labels),
        ):
            index = (prob.detach() * self.bins).long().clamp(max=self.bins - 1)
            index = (index + self.bins * band).flatten(1)
            empty = prob.new_zeros(len(prob), self.bins * BANDS)
            count = empty.scatter_add(1, index, torch.ones_like(prob).flatten(1))
            gap = empty.scatter_add(1, index, (prob - shown).flatten(1)).abs()
            mean = (gap / count.clamp(min=1)).sum(1) / (count > 0).sum(1)
            error = error + (mean * (shown.flatten(1).sum(1) > 0)).mean() / 2
        return 0.5 * F.binary_cross_entropy_with_logits(logits, labels) + 0.5 * error


class AdaFocal(nn.Module):
    """Focal loss whose gamma follows the gap of confidence and accuracy.

    A gamma for each of 15 bins of equal mass of the validation's confidence, and in
    training the bin of the probability of the true class; by band, one for each band of
    distance: of the predicted border on validation, of the label's border in training.

    After each validation gamma grows by the factor exp(gap); below 0.2 it turns to the
    inverse focal loss, whose weight is (1 + p)^|gamma|; gamma stays in [-2, 20].

    Source: `Ghosh et al. <https://arxiv.org/abs/2211.11838>`_ (NeurIPS 2022); the bands
    are ours.
    """

    bins, switch, least, most = 15, 0.2, -2.0, 20.0

    def __init__(self, by_band: bool = False) -> None:
        super().__init__()
        self.by_band = by_band
        number = BANDS if by_band else self.bins
        self.register_buffer('gamma', torch.ones(number))
        self.register_buffer('edges', torch.linspace(0.5, 1, self.bins + 1)[1:-1])

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        log_p = F.logsigmoid(torch.where(labels > 0, logits, -logits))
        p = log_p.exp()
        if self.by_band:
            index = border_bands(labels).long()
        else:
            index = torch.bucketize(p.detach(), self.edges)
        gamma = self.gamma[index]
        base = torch.where(gamma >= 0, (1 - p).clamp(min=1e-6), 1 + p)
        return (-(base ** gamma.abs()) * log_p).mean()

    @torch.no_grad()
    def observe(self, logits: Tensor, labels: Tensor) -> None:
        prob = torch.sigmoid(logits)
        if self.by_band:
            table = BandTable()
            table.update(prob, labels)
            gap = torch.tensor(table.compute()['gaps']).nan_to_num(0.0).float()
        else:
            confidence = torch.maximum(prob, 1 - prob).flatten()
            right = ((prob > 0.5) == (labels > 0)).float().flatten()
            order = confidence.argsort()
            parts = order.tensor_split(self.bins)
            gap = torch.stack([(confidence[i] - right[i]).mean() for i in parts])
            self.edges.copy_(torch.stack([confidence[i[0]] for i in parts[1:]]))
        self.gamma.copy_(self.moved(gap))

    def moved(self, gap: Tensor) -> Tensor:
        """Gamma after a validation with these gaps."""
        gamma = self.gamma
        focal = (gamma * gap.exp()).clamp(max=self.most)
        focal = torch.where((focal < self.switch) & (gap < 0), -self.switch, focal)
        inverse = (gamma * (-gap).exp()).clamp(min=self.least)
        inverse = torch.where(
            (inverse > -self.switch) & (gap > 0), self.switch, inverse
        )
        return torch.where(gamma >= 0, focal, inverse)


RIVALS = {
    'svls': SVLS,
    'crac': CRaC,
    'ml1_ace': ML1ACE,
    'ml1_ace_band': lambda: ML1ACE(by_band=True),
    'adafocal': AdaFocal,
    'adafocal_band': lambda: AdaFocal(by_band=True),
}
