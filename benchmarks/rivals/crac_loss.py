"""Class and region adaptive constraints on the logits, an augmented Lagrangian."""

import math
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from benchmarks.rivals.window import check_maps, foreground_share
from mmaslp.core.argument_checks import check_integer, check_number
from mmaslp.core.levels.functional import sc_bce
from mmaslp.core.levels.inputs import at_least_float32, binary_logits
from mmaslp.hosts.mmseg.losses.binary import BinaryLoss

# Limits and factors of the authors' code.
_LAM_RANGE = (1e-6, 1e6)
_RHO_MAX = 10.0
_GROWTH = 1.2
_ENOUGH = 0.9


class CRaCLoss(BinaryLoss):
    r"""Class and Region adaptive Constraints: cross entropy and a learned pull.

    .. math:: L = \mathrm{CE} + \frac{1}{4} \sum_{k \in \{0, 1\}}
              \lambda_{rk} h_k + \frac{\rho_{rk}}{2} h_k^2, \qquad
              h_k = |m_r \tau_k - l_k|

    where :math:`\tau_k` is the share of class k among the labelled pixels of the 3 x 3
    window around the pixel. The region r of a pixel is *border* if its window holds
    both labels (:math:`m_r = 1`), else *inside* (:math:`m_r` is ``margin``). The
    quarter is the mean over regions and classes; a pixel is 0 in the other region.

    The multipliers :math:`\lambda` are those of an augmented Lagrangian. They follow
    from the constraints h on the validation set: pass its logits to :meth:`observe`,
    then call :meth:`update_multipliers`, once per epoch. In MMSegmentation
    ``CRaCHook`` does this. They are buffers, so checkpoints hold them.

    For two channels, l are the head's own logits, as in the authors' code. One channel
    stands for the logits (c, z + c) with any c. That of the least penalty, where the
    multipliers of both classes are equal and remain so, gives both classes

    .. math:: h = \tfrac{1}{2} |m_r (2 \tau_1 - 1) - z|

    At the border of the image and next to ignored pixels, the share counts the labelled
    pixels in the window. The authors' code counts what is outside of the image as
    background.

    Args:
        margin (float): Logit that the class of a window of one label is pulled to, > 0
            (5 in the authors' commands). Defaults to 5.0.
        rho (float): Weight of the square at the start, in (0, 10] (0.1 in the authors'
            commands). Defaults to 0.1.
        rho_interval (int): Updates between two changes of ``rho``, >= 1. Then it grows
            by the factor 1.2, up to 10, where the mean constraint is above 0.9 of that
            of the update before. Defaults to 10.
        loss_name (str): Must begin with ``loss_`` to be trained on. Defaults to
            'loss_crac'.
        **kwargs: ``reduction``, ``class_weight``, ``loss_weight``, ``ignore_index``,
            ``avg_non_ignore``, see :class:`BinaryLoss`.

    Attributes:
        lam (Tensor): Multipliers, ``(2, 2)``: border and inside, background and
            foreground. They start with 1e-6.
        rho (Tensor): Weights of the squares, ``(2, 2)``.

    Raises:
        ValueError: If an argument is out of its range, or the scores are points, which
            have no neighbours.

    Example:
        >>> loss_decode = dict(type='CRaCLoss', margin=5.0, rho=0.1)
        >>> custom_hooks = [dict(type='CRaCHook')]

    Source: `Class and Region-Adaptive Constraints for Network Calibration
    <https://arxiv.org/abs/2403.12364>`_ (MICCAI 2024).
    """

    lam: Tensor
    rho: Tensor

    def __init__(
        self,
        margin: float = 5.0,
        rho: float = 0.1,
        rho_interval: int = 10,
        loss_name: str = 'loss_crac',
        **kwargs: Any,
    ) -> None:
        super().__init__(loss_name=loss_name, **kwargs)
        self.margin = check_number('margin', margin, above=0)
        check_number('rho', rho, above=0, at_most=_RHO_MAX)
        self.rho_interval = check_integer('rho_interval', rho_interval, at_least=1)
        self.register_buffer('lam', torch.full((2, 2), _LAM_RANGE[0]))
        self.register_buffer('rho', torch.full((2, 2), float(rho)))
        self.register_buffer('_last_mean', torch.full((2, 2), math.inf))
        self.register_buffer('_updates', torch.zeros((), dtype=torch.long))
        self._forget()

    def pixel_loss(
        self, scores: Tensor, labels: Tensor, valid: Tensor | None
    ) -> Tensor:
        """Cross entropy and penalty, see :meth:`BinaryLoss.pixel_loss`."""
        gaps, border = self._constraints(scores, labels, valid)
        lam, rho = (
            torch.where(border.unsqueeze(1), *value.view(2, 1, 2, 1, 1))
            for value in (self.lam, self.rho)
        )
        # The multipliers are above 0, so the penalty has no other branch.
        penalty = (lam + 0.5 * rho * gaps) * gaps
        return sc_bce(binary_logits(scores), labels) + penalty.sum(1) / 4

    @torch.no_grad()
    def observe(
        self, cls_score: Tensor, label: Tensor, ignore_index: int | None = None
    ) -> None:
        """Take in the logits of validation images.

        Args:
            cls_score (Tensor): Logits ``(N, 1 | 2, H, W)``.
            label (Tensor): ``(N, H, W)``, see :meth:`forward`.
            ignore_index (int, optional): See :meth:`forward`.

        Raises:
            ValueError: See :meth:`forward`.
        """
        labels, valid = self._split_labels(label, cls_score, ignore_index)
        scores = at_least_float32(cls_score)
        gaps, border = self._constraints(scores, labels.to(scores.dtype), valid)
        if valid is None:
            valid = torch.ones_like(border)
        regions = torch.stack([border & valid, ~border & valid])
        # No product: an ignored pixel may hold nan.
        kept = torch.where(regions.unsqueeze(2), gaps, 0.0)
        self._sums += kept.sum((1, 3, 4), dtype=torch.float64).cpu()
        self._pixels += valid.sum().cpu()

    @torch.no_grad()
    def update_multipliers(self) -> None:
        """Set the multipliers by what was observed since the last update.

        With a process group, every process must call it. The multipliers are those of
        all images. Logits that are not finite change nothing.

        Raises:
            ValueError: If no labelled pixel was observed.
        """
        totals = torch.cat([self._sums.flatten(), self._pixels.view(1)])
        self._forget()
        if dist.is_available() and dist.is_initialized():
            totals = totals.to(self.lam.device)
            dist.all_reduce(totals)
        if not totals[-1]:
            raise ValueError(
                'CRaCLoss.update_multipliers() needs labelled pixels: pass the '
                'validation set to observe() first'
            )
        mean = (totals[:-1] / totals[-1]).view(2, 2).to(self.lam)
        if not mean.isfinite().all():
            return
        self.lam.add_(self.rho * mean).clamp_(*_LAM_RANGE)
        self._updates += 1
        if self._updates % self.rho_interval == 0:
            stuck = mean > _ENOUGH * self._last_mean
            grown = (_GROWTH * self.rho).clamp_max(_RHO_MAX)
            self.rho.copy_(torch.where(stuck, grown, self.rho))
        self._last_mean.copy_(mean)

    def _forget(self) -> None:
        self._sums = torch.zeros(2, 2, dtype=torch.float64)
        self._pixels = torch.zeros((), dtype=torch.float64)

    def _constraints(
        self, scores: Tensor, labels: Tensor, valid: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Constraints h ``(N, 2, H, W)``, and where border is, ``(N, H, W)``."""
        check_maps(scores, 'CRaCLoss')
        share = foreground_share(labels, valid)
        border = (share > 0) & (share < 1)
        margin = torch.where(border, 1.0, share.new_tensor(self.margin))
        if scores.size(1) == 1:
            gap = 0.5 * (margin * (2 * share - 1) - scores[:, 0])
            return gap.abs().unsqueeze(1).expand(-1, 2, -1, -1), border
        target = torch.stack([1 - share, share], dim=1)
        return (margin.unsqueeze(1) * target - scores).abs(), border
