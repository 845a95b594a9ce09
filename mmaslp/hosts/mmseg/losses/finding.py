"""Finding the losses of a model for a hook."""

from typing import Any

from mmengine.model import is_model_wrapper

from .sc_bce_loss import SCBCELoss


def unwrap(model: Any) -> Any:
    """Take the wrappers of distributed training off a model."""
    while is_model_wrapper(model):
        model = model.module
    return model


def find_losses(model: Any) -> list[SCBCELoss]:
    """List the losses of all heads, decode and auxiliary ones."""
    return [m for m in unwrap(model).modules() if isinstance(m, SCBCELoss)]
