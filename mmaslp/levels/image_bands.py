"""Levels by band, shared out among the images by their errors."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..common.arguments import check_array, check_number, optional, reading
from ..common.processes import gathered
from ..losses.targets import PerturbedByImage, SmoothedByImageAndBand, Target
from ..metrics.band_table import BandTable
from .bands import BandLevels

# Bounds of the weight of an image: one without an error is still smoothed, and one
# whose mask is wrong is not smoothed away.
LEAST_WEIGHT = 0.2
MOST_WEIGHT = 4.0


class ImageBandLevels(BandLevels):
    r"""Label smoothing per image and band, fed back by validations.

    The levels of the bands are those of :class:`BandLevels`. The smoothing of a pixel
    is the level of its band times the weight of its image,

    .. math:: \epsilon = \min(\epsilon_b w_i, 0.98), \qquad
              w_i = \mathrm{clip}(e_i / \bar e, 0.2, 4)

    where :math:`e_i` is the error of the image, the mean of :math:`|p - y|` over its
    valid pixels at this very step, and :math:`\bar e` its mean over all images since
    the validation before the last one. So labels that the network does not fit are
    smoothed more, and labels that it fits are smoothed less. The paper's rules do the
    opposite; docs/levels.md compares both.

    Nothing is drawn, and images need no names. In a distributed training
    :meth:`observe` adds up the errors of all processes. Where several losses see the
    images of a batch, as those of auxiliary heads do, :meth:`start_batch` lets them
    share the weights by the errors of the first one.

    Args:
        gain (float): See :class:`BandLevels`. Defaults to 1.
        warmup (int): Validations before the levels begin to move, >= 0. Defaults to 0.

    Attributes:
        levels (Tensor): Level of each band, see :class:`BandLevels`.
        mean_error (float | None): :math:`\bar e`, in [0, 1]; None before the first
            validation that training batches precede. Then every weight is 1.
        listener (Callable | None): Is called with the errors of the images of every
            batch, ``(N,)``, for a table of them.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> from mmaslp.losses import SelfCalibratingBCE
        >>> criterion = SelfCalibratingBCE(ImageBandLevels(warmup=20))
        >>> loss = criterion(torch.zeros(2, 1, 8, 8), torch.ones(2, 8, 8))

    Source: ours.
    """

    @torch.inference_mode(False)  # else it could only be updated in that mode
    def __init__(self, *, gain: float = 1.0, warmup: int = 0) -> None:
        super().__init__(gain=gain, warmup=warmup)
        self.mean_error: float | None = None
        self.listener: Callable[[Tensor], None] | None = None
        # Sum of the errors since the last validation, and their number.
        self.error_sums = torch.zeros(2, dtype=torch.float64)
        self._is_sharing = False
        self._shared: Tensor | None = None  # weights of the first loss of a batch

    def target(self, perturbed: PerturbedByImage) -> Target:
        """See :class:`~mmaslp.losses.Levels`."""
        super().target(perturbed)  # it refuses what does not fit
        return SmoothedByImageAndBand(self)

    def start_batch(self) -> None:
        """Let the losses of the next batch share the weights of its images.

        They are those of the first loss, which is to be that of the head that predicts:
        it alone is measured, so that the larger errors of auxiliary heads move nothing.
        """
        self._is_sharing = True
        self._shared = None

    def end_batch(self) -> None:
        """Let every call of a loss measure its images again."""
        self._is_sharing = False
        self._shared = None

    def weights_of(self, errors: Tensor) -> Tensor:
        """Weights of the images of a batch ``(N,)``, whose errors are taken in.

        An error that is not finite (nan logits, no valid pixel) has the weight 1. Of a
        batch that :meth:`start_batch` began, later errors are not taken in.
        """
        if self._shared is None:
            self._take_in(errors)
            weights = self.weights_now(errors)
            if self._is_sharing:
                self._shared = weights
            return weights
        if self._shared.shape == errors.shape:
            return self._shared
        return self.weights_now(errors)  # of a head that leaves images out

    def _take_in(self, errors: Tensor) -> None:
        """Add errors to those since the last validation."""
        measured = errors.double().cpu()
        if self.listener is not None:
            self.listener(measured)
        measured = measured[measured.isfinite()]
        self.error_sums[0] += measured.sum()
        self.error_sums[1] += len(measured)

    def weights_now(self, errors: Tensor) -> Tensor:
        """Weights ``(N,)`` that images with these errors have at present."""
        if not self.mean_error:
            return torch.ones_like(errors)

        weights = (errors / self.mean_error).clamp(LEAST_WEIGHT, MOST_WEIGHT)
        return weights.where(errors.isfinite(), 1.0)

    def observe(self, table: BandTable, whole: bool = False) -> None:
        """Move the levels after a validation, see :meth:`BandLevels.observe`."""
        super().observe(table, whole)
        sums = torch.stack(gathered(self.error_sums)).sum(0)
        total, count = sums.tolist()
        if count:
            self.mean_error = total / count
            self.error_sums.zero_()

    def state_dict(self) -> dict[str, Any]:
        """Numbers, lists and dicts, also for JSON."""
        return super().state_dict() | dict(
            mean_error=self.mean_error,
            error_sums=self.error_sums.tolist(),
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See :meth:`BandLevels.load_state_dict`."""
        self._check_kind(state)
        with reading('the state of ImageBandLevels is damaged'):
            mean_error = optional(
                check_number, 'mean_error', state['mean_error'], at_least=0, at_most=1
            )
            sums = check_array('error_sums', state['error_sums'], (2,), low=0)

        super().load_state_dict(state)
        self.mean_error = mean_error
        self.error_sums.copy_(torch.from_numpy(sums))
