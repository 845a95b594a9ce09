"""Checks that the losses of a model fit together."""

from collections.abc import Iterable, Sequence

from .findings import Finding

__all__ = ['different_strengths', 'no_loss', 'no_loss_no_hook']

_LOSS = "model.decode_head.loss_decode = dict(type='SCBCELoss')"


def no_loss(num_losses: int) -> Finding | None:
    """Refuse a model without SCBCELoss under the hook."""
    if num_losses:
        return None
    return Finding(
        'error',
        'ASLPHook found no SCBCELoss in the model, without which it has nothing to do',
        _LOSS,
    )


def no_loss_no_hook(num_losses: int) -> Finding | None:
    """Warn about a model that does not use the plugin."""
    if num_losses:
        return None
    return Finding('warning', 'no head trains with SCBCELoss', _LOSS)


def different_strengths(
    strengths: Iterable[float], places: Sequence[str] = ()
) -> Finding | None:
    """Refuse heads that perturb labels by different strengths.

    Perturbations of the same strength may differ otherwise (``'M'``, ``'DM'`` and
    ``1.0``): the levels depend on beta alone.
    """
    different = sorted({*strengths})
    if len(different) < 2:
        return None
    return Finding(
        'error',
        f'the heads have different strengths beta '
        f'({", ".join(f"{beta:g}" for beta in different)}): one level per image needs '
        'the same beta in every head',
        '\n'.join(f"{place}.beta = 'HI'" for place in places)
        or "beta = 'HI'  (in every SCBCELoss)",
    )
