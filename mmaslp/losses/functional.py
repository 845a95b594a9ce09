"""Self-calibrating BCE and the per-image margin, as functions of tensors."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..common.arrays import at_least_float32

# The expected label keeps its side: half of this is below 1/2.
MAX_STRENGTH = 0.98


def sc_bce(logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    r"""Binary cross entropy against soft targets: :math:`\mathrm{softplus}(z) - t z`.

    Args:
        logits (Tensor): Logits z, shape ``(N, ...)``.
        target (Tensor): Targets t, same shape; may be soft, or outside [0, 1].
        valid (Tensor, optional): Same shape; pixels that are False give a loss and a
            gradient of 0 for any logit. Defaults to None.

    Returns:
        Tensor: Loss in nats, shape ``(N, ...)``, at least float32.
    """
    _check_shapes(logits, target, valid)
    logits = at_least_float32(logits)
    if valid is not None:
        valid = valid.bool()
        logits = torch.where(valid, logits, torch.zeros_like(logits))
    target = target.to(logits.dtype)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
    return loss if valid is None else torch.where(valid, loss, torch.zeros_like(loss))


def image_margin(logits: Tensor, labels: Tensor, valid: Tensor | None = None) -> Tensor:
    r"""Mean signed margin of every image.

    .. math:: m_i = \frac{1}{|V_i|} \sum_{j \in V_i} (2 y_{ij} - 1) z_{ij}

    The expected loss has the gradient :math:`\beta / 2 \cdot m_i` with respect to the
    perturbation level of image i, exactly.

    Args:
        logits (Tensor): Logits z, shape ``(N, ...)``.
        labels (Tensor): Labels in {0, 1}, same shape. Values are not checked.
        valid (Tensor, optional): Bool mask, same shape. Defaults to None.

    Returns:
        Tensor: Shape ``(N,)``, detached, at least float32; 0 without a valid pixel.
    """
    _check_shapes(logits, labels, valid)
    logits = at_least_float32(logits.detach())
    signed = (2 * labels.to(logits.dtype) - 1) * logits
    valid = torch.ones_like(signed) if valid is None else valid
    valid = valid.bool().view(*valid.shape, 1)  # also one pixel per image: (N,)
    signed = torch.where(valid, signed[..., None], signed.new_zeros(()))
    return signed.flatten(1).sum(1) / valid.flatten(1).sum(1).clamp_min(1)


def sc_bce_per_image(
    logits: Tensor,
    labels: Tensor,
    strength: Tensor,
    valid: Tensor | None = None,
    noise: Tensor | None = None,
    shared_rows: int = 1,
    weights_of: Callable[[Tensor], Tensor] | None = None,
    maps_per_image: int = 1,
) -> tuple[Tensor, Tensor]:
    """Sum of the loss ``(N,)`` and mean margin ``(N,)``, in one pass over the pixels.

    The strength b is ``(N,)`` or of the shape of ``logits``; for maps ``(N, H, W)``
    whose s = ``shared_rows`` rows share one, ``(N, ceil(H / s), W)``. ``noise`` is
    added to the target. ``weights_of`` turns the errors of the images, see
    :func:`image_error`, into factors of the strength. The loss is differentiable once,
    the margin not. Without levels the sum has the gradient of torch bit for bit.
    """
    return _PerImage.apply(
        logits,
        labels,
        strength,
        valid,
        noise,
        shared_rows,
        weights_of,
        maps_per_image,
    )


def image_error(
    logits: Tensor, labels: Tensor, valid: Tensor | None = None, maps_per_image: int = 1
) -> Tensor:
    """Mean of :math:`|p - y|` over the valid pixels of every image, in [0, 1].

    Args:
        logits (Tensor): Logits, ``(N * M, ...)``.
        labels (Tensor): Labels in {0, 1}, same shape.
        valid (Tensor, optional): Bool mask, same shape. Defaults to None.
        maps_per_image (int): M, such as the slices of a volume. Defaults to 1.

    Returns:
        Tensor: ``(N,)``, detached, at least float32; nan without a valid pixel.
    """
    _check_shapes(logits, labels, valid)
    prob = torch.sigmoid(at_least_float32(logits.detach()))
    wrong = (prob - labels.to(prob.dtype)).abs_()
    return _mean_per_image(wrong, valid, maps_per_image)


def _mean_per_image(
    pixels: Tensor, valid: Tensor | None, maps_per_image: int
) -> Tensor:
    """Mean over the valid pixels of M maps ``(N * M, ...)`` each, which it changes."""
    if valid is None:
        return pixels.flatten(1).sum(1).view(-1, maps_per_image).sum(1) / (
            maps_per_image * pixels[0].numel()
        )

    pixels.mul_(valid)
    count = valid.flatten(1).sum(1).view(-1, maps_per_image).sum(1)
    return pixels.flatten(1).sum(1).view(-1, maps_per_image).sum(1) / count


class _PerImage(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        logits: Tensor,
        labels: Tensor,
        strength: Tensor,
        valid: Tensor | None,
        noise: Tensor | None,
        shared_rows: int,
        weights_of: Callable[[Tensor], Tensor] | None,
        maps_per_image: int,
    ) -> tuple[Tensor, Tensor]:
        z = at_least_float32(logits)
        if valid is not None:
            z = torch.where(valid, z, torch.zeros_like(z))
        # A copy of its own: one temporary less than 2 * labels - 1 costs.
        sign = labels.to(z.dtype, copy=True)
        if weights_of is not None:
            # One large tensor, which is free again for what follows: new memory costs
            # more than the sigmoid.
            wrong = torch.sigmoid(z).sub_(sign).abs_()
            error = _mean_per_image(wrong, valid, maps_per_image)
            del wrong
            strength = weighted(strength, weights_of(error), maps_per_image)

        half = like_pixels((0.5 * strength).to(z.dtype), z)
        sign.mul_(2).sub_(1)
        signed = sign * z
        hard = F.softplus(signed, beta=-1)  # -softplus(-s)
        if valid is not None:
            hard.mul_(valid)
        loss = -hard.flatten(1).sum(1)  # while it is in the cache
        moderation, margin = _sums(signed, half, shared_rows)
        loss = loss + moderation
        if valid is None:
            margin /= max(signed.shape[1:].numel(), 1)
        else:
            margin /= valid.flatten(1).sum(1).clamp_min(1)

        torch.sigmoid(z, out=signed)
        grad = signed.sub_(_target(sign, half, shared_rows))
        if noise is not None:
            loss = loss - (noise * z).flatten(1).sum(1)
            grad.sub_(noise)

        if valid is not None:
            grad.mul_(valid)
        ctx.save_for_backward(grad)
        ctx.dtype = logits.dtype
        ctx.mark_non_differentiable(margin)
        return loss, margin

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        if torch.is_grad_enabled():
            raise ValueError(
                'the loss has no second derivative, which create_graph=True asks for: '
                "take reduction='none' and its mean, which has"
            )
        (grad,) = ctx.saved_tensors
        grad = grad * like_pixels(grad_loss, grad)
        return grad.to(ctx.dtype), None, None, None, None, None, None, None


def _sums(signed: Tensor, half: Tensor, shared_rows: int) -> tuple[Tensor, Tensor]:
    """Sums of b s / 2 and of s over the pixels of each image, ``(N,)`` each."""
    if shared_rows == 1:
        total = signed.flatten(1).sum(1)
        if half.numel() == len(half):
            return half.flatten() * total, total
        return (half * signed).flatten(1).sum(1), total

    moderations = []
    totals = []
    for rows, strength in _rows_of_cells(signed, half, shared_rows):
        lines: Any = sum(rows.unbind(2))  # slice by slice: faster than a reduction
        totals.append(lines.flatten(1).sum(1))
        moderations.append((strength * lines).flatten(1).sum(1))
    return torch.stack(moderations).sum(0), torch.stack(totals).sum(0)


def _target(sign: Tensor, half: Tensor, shared_rows: int) -> Tensor:
    """1/2 + (2 y - 1) (1 - b) / 2, in place of the sign; without b exactly y."""
    if shared_rows == 1:
        return sign.mul_(0.5 - half).add_(0.5)
    for rows, strength in _rows_of_cells(sign, half, shared_rows):
        rows.mul_((0.5 - strength).unsqueeze(2))
    return sign.add_(0.5)


def _rows_of_cells(
    pixels: Tensor, strength: Tensor, size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Views (N, R, size, W) of pixels beside the strengths (N, R, W) that they share.

    With a strength for each pixel the loss would take 1.7 times as long.
    """
    if full := pixels.shape[1] // size:
        yield pixels[:, : full * size].unflatten(1, (full, size)), strength[:, :full]
    if full < strength.shape[1]:  # the last row of cells is cut off
        yield pixels[:, full * size :].unsqueeze(1), strength[:, full:]


def weighted(strength: Tensor, weights: Tensor, maps_per_image: int) -> Tensor:
    """Strength of the maps of images, times a weight of each image ``(N,)``.

    A target keeps the side of its label: the product is at most :data:`MAX_STRENGTH`.
    """
    weights = weights.repeat_interleave(maps_per_image).to(strength.dtype)
    return (strength * like_pixels(weights, strength)).clamp_max(MAX_STRENGTH)


def like_pixels(values: Tensor, labels: Tensor) -> Tensor:
    """Values per image, ``(N,)``, so that they broadcast with the labels."""
    return values.view(*values.shape, *[1] * (labels.dim() - values.dim()))


def _check_shapes(logits: Tensor, labels: Tensor, valid: Tensor | None) -> None:
    given = [logits, labels] if valid is None else [logits, labels, valid]
    if not all(
        isinstance(each, Tensor) and each.shape == logits.shape for each in given
    ):
        kinds = [f'{type(g).__name__} {tuple(getattr(g, "shape", ()))}' for g in given]
        raise ValueError(f'all must be tensors of one shape, got {", ".join(kinds)}')
