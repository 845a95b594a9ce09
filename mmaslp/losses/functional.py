"""Self-calibrating BCE and the per-image margin, as functions of tensors."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..common.arrays import at_least_float32
from .perturbations import perturb_target

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
    target = target.to(logits.dtype)
    if valid is None:
        return F.binary_cross_entropy_with_logits(logits, target, reduction='none')

    valid = valid.bool()
    logits = torch.where(valid, logits, 0.0)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction='none')
    return torch.where(valid, loss, 0.0)


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
    if valid is None:
        valid = torch.ones_like(signed)
    # With one axis more, also for one pixel per image, (N,).
    valid = valid.bool().unsqueeze(-1)
    signed = torch.where(valid, signed.unsqueeze(-1), signed.new_zeros(()))
    count = valid.flatten(1).sum(1)
    return signed.flatten(1).sum(1) / count.clamp_min(1)


@dataclass(frozen=True)
class Strength:
    """How strongly the labels of a batch are perturbed, see ``perturb_target``.

    Attributes:
        values (Tensor): Strength b of each map, ``(N,)``, or of each pixel; for maps
            ``(N, H, W)`` whose s = ``shared_rows`` rows share one,
            ``(N, ceil(H / s), W)``.
        shared_rows (int): Rows of pixels that share a strength.
        noise (Tensor | None): What is added to the target, of the shape of the labels.
        weights_of (Callable | None): Turns the errors of the images, see
            :func:`image_error`, into factors of the values, ``(N,)`` each.
    """

    values: Tensor
    shared_rows: int = 1
    noise: Tensor | None = None
    weights_of: Callable[[Tensor], Tensor] | None = None


def sc_bce_per_pixel(
    logits: Tensor,
    labels: Tensor,
    strength: Strength,
    valid: Tensor | None = None,
    maps_per_image: int = 1,
) -> Tensor:
    """Loss of every pixel, of the shape of the labels ``(N * M, ...)``."""
    values = strength.values
    if strength.weights_of is not None:
        error = image_error(logits, labels, valid, maps_per_image)
        values = weighted(values, strength.weights_of(error), maps_per_image)
    if strength.shared_rows > 1:
        values = values.repeat_interleave(strength.shared_rows, 1)
        values = values[:, : labels.shape[1]]
    target = perturb_target(labels, like_pixels(values, labels), strength.noise)
    return sc_bce(logits, target, valid)


def sc_bce_per_image(
    logits: Tensor,
    labels: Tensor,
    strength: Strength,
    valid: Tensor | None = None,
    maps_per_image: int = 1,
) -> tuple[Tensor, Tensor]:
    """Sum of the loss ``(N,)`` and mean margin ``(N,)``, in one pass over the pixels.

    The loss is differentiable once, the margin not. Without levels the sum has the
    gradient of torch bit for bit.
    """
    return _PerImage.apply(logits, labels, strength, valid, maps_per_image)


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
    if valid is not None:
        wrong.masked_fill_(~valid, 0)  # of nan too
    return _mean_per_image(wrong, _pixels_per_map(labels, valid), maps_per_image)


def _mean_per_image(
    pixels: Tensor, pixels_per_map: Tensor | int, maps_per_image: int
) -> Tensor:
    """Mean over so many pixels of M maps ``(N * M, ...)`` each; the others are 0."""
    total = pixels.flatten(1).sum(1).view(-1, maps_per_image).sum(1)
    if isinstance(pixels_per_map, int):
        return total / (maps_per_image * pixels_per_map)
    return total / pixels_per_map.view(-1, maps_per_image).sum(1)


def _pixels_per_map(labels: Tensor, valid: Tensor | None) -> Tensor | int:
    """Number of valid pixels of each map."""
    if valid is None:
        return labels.shape[1:].numel()
    # As bytes, and in 32 bits: torch adds up bools in 64, half as fast.
    return valid.bool().view(torch.uint8).flatten(1).sum(1, dtype=torch.int32)


class _PerImage(torch.autograd.Function):
    """The loss and its gradient in two buffers, since new memory costs more than math.

    One holds, one after the other, the labels, their signs 2 y - 1 and the targets; the
    other one the errors |p - y|, the margins (2 y - 1) z, the probabilities and the
    gradient.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        logits: Tensor,
        labels: Tensor,
        strength: Strength,
        valid: Tensor | None,
        maps_per_image: int,
    ) -> tuple[Tensor, Tensor]:
        z = at_least_float32(logits)
        counted = None  # 1. where a pixel counts, else 0.
        if valid is not None:
            z = torch.where(valid, z, 0.0)
            counted = valid.to(z.dtype)  # with a bool it takes eight times as long
        pixels_per_map = _pixels_per_map(labels, valid)

        y = labels.to(z.dtype, copy=True)
        second = torch.empty_like(z)
        values = strength.values
        if strength.weights_of is not None:
            wrong = torch.sigmoid(z, out=second).sub_(y).abs_()
            _leave_out(wrong, counted)
            error = _mean_per_image(wrong, pixels_per_map, maps_per_image)
            values = weighted(values, strength.weights_of(error), maps_per_image)
        half = like_pixels((0.5 * values).to(z.dtype), z)

        sign = y.mul_(2).sub_(1)
        signed = torch.mul(sign, z, out=second)
        hard = F.softplus(signed, beta=-1)  # -softplus(-s), while s is in the cache
        _leave_out(hard, counted)
        moderation, margin = _sums(signed, half, strength.shared_rows)
        loss = moderation - hard.flatten(1).sum(1)
        margin /= torch.as_tensor(pixels_per_map).clamp_min(1)

        prob = torch.sigmoid(z, out=second)
        grad = prob.sub_(_target(sign, half, strength.shared_rows))
        if strength.noise is not None:
            loss = loss - (strength.noise * z).flatten(1).sum(1)
            grad.sub_(strength.noise)
        _leave_out(grad, counted)
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
        return grad.to(ctx.dtype), None, None, None, None


def _leave_out(pixels: Tensor, counted: Tensor | None) -> None:
    """Set the pixels that do not count to 0."""
    if counted is not None:
        pixels.mul_(counted)


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
    full = pixels.shape[1] // size
    if full:
        rows = pixels[:, : full * size].unflatten(1, (full, size))
        yield rows, strength[:, :full]
    if full < strength.shape[1]:  # the last row of cells is cut off
        rows = pixels[:, full * size :].unsqueeze(1)
        yield rows, strength[:, full:]


def weighted(strength: Tensor, weights: Tensor, maps_per_image: int) -> Tensor:
    """Strength of the maps of images, times a weight of each image ``(N,)``.

    A target keeps the side of its label: the product is at most :data:`MAX_STRENGTH`.
    """
    weights = weights.repeat_interleave(maps_per_image).to(strength.dtype)
    return (strength * like_pixels(weights, strength)).clamp_max(MAX_STRENGTH)


def like_pixels(values: Tensor, labels: Tensor) -> Tensor:
    """Values per image, ``(N,)``, so that they broadcast with the labels."""
    missing = labels.dim() - values.dim()
    return values.view(values.shape + (1,) * missing)


def _check_shapes(logits: Tensor, labels: Tensor, valid: Tensor | None) -> None:
    tensors = [logits, labels]
    if valid is not None:
        tensors.append(valid)
    for tensor in tensors:
        if not isinstance(tensor, Tensor) or tensor.shape != logits.shape:
            shapes = ', '.join(map(_type_and_shape, tensors))
            raise ValueError(f'all must be tensors of one shape, got {shapes}')


def _type_and_shape(value: Any) -> str:
    return f'{type(value).__name__} {tuple(getattr(value, "shape", ()))}'
