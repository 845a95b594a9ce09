"""Self-calibrating binary cross entropy as a registered loss."""

from collections.abc import Sequence
from numbers import Real

import torch
from mmseg.registry import MODELS
from torch import Tensor

from ...core.aslp.batch import BatchDraw, BatchState, plain_draw
from ...core.aslp.counter_rng import pixel_uniform
from ...core.aslp.functional import image_margin, sc_bce, sc_bce_per_image
from ...core.aslp.perturbation import (
    check_alpha,
    perturb_target,
    resolve_perturbation,
    truncated_normal,
)
from .binary import BinaryLoss, binary_logits


@MODELS.register_module()
class SCBCELoss(BinaryLoss):
    r"""Self-Calibrating Binary Cross Entropy.

    Perturbs the label of each image, as a whole, with the image's own probability:
    :math:`t = y` or, with probability :math:`\alpha_i`,
    :math:`t = (1 - \beta) y + \beta / 2`, and averages BCE(z, t) over the valid pixels.

    With :class:`ASLPHook` in ``custom_hooks`` the hook gives the levels and draws once
    per image and iteration, for all heads together. **Without the hook every call of
    the loss draws for itself** with the fixed ``alpha``, from torch's global generator.

    One loss, by its arguments:

    =============================================  ===================================
    ``alpha=0``                                    binary cross entropy
    ``eps=0.1``                                    label smoothing
    ``beta='HI', alpha=a / 2, per_pixel=True``     DisturbLabel with noise rate a
    ``beta='HI' | 'SI' | 'M' | 'DM', alpha=0.05``  stochastic label perturbation (SLP)
    any of them with ``ASLPHook``                  adaptive (ASLP)
    =============================================  ===================================

    Args:
        beta (str | float): Perturbation by name (``'HI'`` hard inversion 2, ``'SI'``
            soft inversion 1.5, ``'M'`` moderation 1, ``'DM'`` moderation with noise
            per pixel) or strength in (0, 2]. Defaults to 'HI'.
        alpha (float): Fixed level in [0, 1] with ``alpha * beta < 1``; under a hook
            that learns, or has an ``alpha``, the hook's is used. Defaults to 0.
        deterministic (bool): Train on the expected target instead of drawing: label
            smoothing with eps = alpha * beta. Defaults to False.
        eps (float, optional): Label smoothing in [0, 1): short for
            ``deterministic=True, alpha=eps / beta``; under a hook see ``alpha``.
            Defaults to None.
        per_pixel (bool): Draw for every pixel instead of every image. Defaults to
            False.
        reduction (str): 'none', 'mean' or 'sum'. Defaults to 'mean'.
        class_weight (Sequence[float] | str, optional): Two weights, of background and
            of foreground pixels (by the unperturbed label), or a file that holds them;
            the mean divides by the number of pixels, see :class:`BinaryLoss`.
            Defaults to None.
        loss_weight (float): Factor of the loss, finite. Defaults to 1.0.
        loss_name (str): Must begin with ``loss_`` to be trained on. Defaults to
            'loss_sc_bce'.
        ignore_index (int): Label of pixels without a label, used where the head passes
            none. Defaults to 255.
        avg_non_ignore (bool): Average over the valid pixels only; False divides by all
            of them, as the host's losses do unless told otherwise. Defaults to True.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> # in a config; the head needs out_channels=1 or num_classes=2
        >>> loss_decode = dict(type='SCBCELoss', beta='HI', loss_weight=1.0)

    Source: `Model Calibration in Dense Classification with Adaptive Label Perturbation
    <https://arxiv.org/abs/2307.13539>`_.
    """

    def __init__(
        self,
        beta: str | float = 'HI',
        alpha: float = 0.0,
        deterministic: bool = False,
        eps: float | None = None,
        per_pixel: bool = False,
        reduction: str = 'mean',
        class_weight: Sequence[float] | str | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_sc_bce',
        ignore_index: int = 255,
        avg_non_ignore: bool = True,
    ):
        super().__init__(
            reduction=reduction,
            class_weight=class_weight,
            loss_weight=loss_weight,
            loss_name=loss_name,
            ignore_index=ignore_index,
            avg_non_ignore=avg_non_ignore,
        )
        self.perturbation = resolve_perturbation(beta)
        if eps is not None:
            if alpha:
                raise ValueError('give either eps (label smoothing) or alpha, not both')
            if not (isinstance(eps, Real) and 0.0 <= eps < 1.0):
                raise ValueError(f'eps must be in [0, 1), got {eps!r}')
            if eps > self.perturbation.beta:
                raise ValueError(
                    f'eps = {eps!r} is more than beta = {self.perturbation.beta:g}, '
                    'which gives a smoothing of at most that: leave beta out'
                )
            deterministic, alpha = True, eps / self.perturbation.beta
        self.alpha = check_alpha(alpha, self.perturbation.beta)
        if deterministic and per_pixel:
            raise ValueError(
                'per_pixel=True draws and deterministic=True does not: set one of them'
            )
        self.deterministic = deterministic
        self.per_pixel = per_pixel
        self._state = None

    def bind(self, state: BatchState | None) -> None:
        """Share the hook's state; None returns to drawing in every call."""
        self._state = state

    def extra_repr(self) -> str:
        """Show the perturbation in ``print(model)``."""
        name, beta = self.perturbation.name, self.perturbation.beta
        return (
            f'perturbation={name}, beta={beta:g}, alpha={self.alpha:g}, '
            f'deterministic={self.deterministic}, per_pixel={self.per_pixel}'
        )

    # The checks read values and the draw is made of Python objects: a compiled
    # train_step (cfg.compile) steps over this call instead of failing on its graph.
    @torch.compiler.disable
    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = None,
        **kwargs,
    ) -> Tensor:
        """Compute the loss and leave the margins for the hook.

        Takes and returns what :meth:`BinaryLoss.forward` does.

        Raises:
            ValueError: As there, or if the batch is not the hook's.
        """
        reduction = self._resolve_reduction(reduction_override, avg_factor)
        labels, valid = self._split_labels(label, cls_score, ignore_index)
        logits = binary_logits(cls_score)

        draw = self._draw(len(logits))
        strength, noise = self._perturb(draw, logits)
        whole = weight is None and self.class_weight is None and reduction != 'none'
        if whole:
            loss, margin = sc_bce_per_image(logits, labels, strength, valid, noise)
        else:
            margin = image_margin(logits, labels, valid)
            if strength.dim() == 1:
                strength = strength.view(-1, *[1] * (logits.dim() - 1))
            target = perturb_target(labels, strength, noise)
            loss = sc_bce(logits, target, valid)
            loss = self._weigh(loss, labels, weight, valid)
        if self._state is not None and self._state.draw is not None:
            self._state.record(margin, self.loss_weight)
        return self.loss_weight * self._reduce(
            loss, reduction, avg_factor, valid, logits.numel()
        )

    def _draw(self, num_images: int) -> BatchDraw:
        managed = self._state is not None and self._state.draw is not None
        if not managed:
            return plain_draw(self.alpha, num_images)
        draw = self._state.draw
        if len(draw.alpha) != num_images:
            raise ValueError(
                f'ASLPHook drew for a batch of {len(draw.alpha)} images but this head '
                f'calls its loss with {num_images}: use a loss of the host in heads '
                'that split, drop or mix images'
            )
        return draw

    def _perturb(self, draw: BatchDraw, logits: Tensor) -> tuple[Tensor, Tensor | None]:
        """Strength per image (N,) or per pixel, and noise or None."""
        beta, bound = self.perturbation.beta, self.perturbation.noise
        if self.deterministic:
            return (draw.alpha * beta).to(logits.device, non_blocking=True), None
        shape, device = logits.shape[1:], logits.device
        if self.per_pixel:
            level = draw.alpha.to(device).view(-1, *[1] * len(shape))
            # The negated keys are a stream apart from that of the noise below.
            uniform = pixel_uniform(~draw.keys, shape, device)
            chosen = (0.5 * (uniform + 1) < level).float()
        else:
            chosen = draw.perturbed.float().to(device, non_blocking=True)
            if not bound or not draw.perturbed.any():
                return chosen * beta, None
        if not bound:
            return chosen * beta, None
        noise = truncated_normal(pixel_uniform(draw.keys, shape, device), bound)
        where = chosen if chosen.dim() > 1 else chosen.view(-1, *[1] * len(shape))
        return chosen * beta, noise * where
