"""Spatially varying label smoothing."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.rivals.window import check_maps
from mmaslp.core.argument_checks import check_number
from mmaslp.core.levels.functional import sc_bce
from mmaslp.core.levels.inputs import binary_logits
from mmaslp.hosts.mmseg.losses.binary import BinaryLoss


class SVLSLoss(BinaryLoss):
    r"""Spatially Varying Label Smoothing: cross entropy against blurred labels.

    .. math:: t_j = \frac{\sum_k w_{k-j}\, y_k}{\sum_k w_{k-j}}, \qquad
              w_0 = 1, \qquad
              w_d = \frac{e^{-|d|^2 / 2 \sigma^2}}
                         {\sum_{d' \ne 0} e^{-|d'|^2 / 2 \sigma^2}}

    over the 3 x 3 window around the pixel: the pixel itself weighs 1, its eight
    neighbours weigh 1 together. Away from borders the target is the label; at a border
    it is a mixture. At the edge of the image the label is repeated, as in the authors'
    code. Pixels to be ignored have no weight in either sum, so that a pixel among such
    ones keeps its label; the authors' code knows none.

    Args:
        sigma (float): Width of the Gaussian in pixels, > 0. Defaults to 1.0.
        loss_name (str): Must hold 'loss' to be trained on. Defaults to
            'loss_svls'.
        **kwargs: ``reduction``, ``class_weight``, ``loss_weight``, ``ignore_index``,
            ``avg_non_ignore``, see :class:`BinaryLoss`.

    Raises:
        ValueError: If an argument is out of its range, or the scores are points, which
            have no neighbours.

    Example:
        >>> loss_decode = dict(type='SVLSLoss', sigma=1.0)

    Source: `Spatially Varying Label Smoothing: Capturing Uncertainty from Expert
    Annotations <https://arxiv.org/abs/2104.05788>`_ (IPMI 2021).
    """

    def __init__(
        self, sigma: float = 1.0, loss_name: str = 'loss_svls', **kwargs: Any
    ) -> None:
        super().__init__(loss_name=loss_name, **kwargs)
        self.sigma = check_number('sigma', sigma, above=0)

    def pixel_loss(
        self, scores: Tensor, labels: Tensor, valid: Tensor | None
    ) -> Tensor:
        """Cross entropy against the target, see :meth:`BinaryLoss.pixel_loss`."""
        check_maps(scores, 'SVLSLoss')
        return sc_bce(binary_logits(scores), self.target(labels, valid))

    def target(self, labels: Tensor, valid: Tensor | None = None) -> Tensor:
        """Blur labels.

        Args:
            labels (Tensor): 0 or 1 (0 where ``valid`` is False), ``(N, H, W)``, float.
            valid (Tensor, optional): Bool, same shape. Defaults to None: all are valid.

        Returns:
            Tensor: ``(N, H, W)``, in [0, 1]; 0 where no pixel of the window is valid.
        """
        if not labels.numel():
            return labels
        total = self._blur(labels)
        if valid is None:
            return total / 2
        weight = self._blur(valid.to(labels.dtype))
        # Of a pixel with no weight in its window nothing is asked: it is ignored.
        return total / torch.where(weight > 0, weight, 1.0)

    def _blur(self, maps: Tensor) -> Tensor:
        """Sum of the window by the weights, whose sum is 2: (N, H, W)."""
        # No convolution: mixed precision would round it.
        wide = F.pad(maps.unsqueeze(1), (1, 1, 1, 1), mode='replicate').squeeze(1)
        up, row, down = wide[:, :-2], wide[:, 1:-1], wide[:, 2:]
        beside = row[..., :-2] + row[..., 2:] + up[..., 1:-1] + down[..., 1:-1]
        across = up[..., :-2] + up[..., 2:] + down[..., :-2] + down[..., 2:]
        share = 0.25 / (1 + math.exp(-0.5 / self.sigma**2))
        return maps + share * beside + (0.25 - share) * across
