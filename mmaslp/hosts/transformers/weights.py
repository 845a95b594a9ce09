"""Whether a Trainer has loaded the weights of a checkpoint (see ``NOT_LOADED``)."""

import math

from torch import Tensor, nn

NOT_LOADED = (
    'the Trainer has not loaded all weights of the checkpoint, as names in the file '
    'differ (huggingface/transformers issue 43701)'
)


def trace_of(model: nn.Module) -> float | None:
    """Sum of squares of the trained weights; None where they are sharded."""
    weights = [each.data for each in model.parameters() if each.requires_grad]
    if any(type(each) is not Tensor for each in weights):
        return None
    return math.fsum(each.double().square().sum().item() for each in weights)


def is_loaded(model: nn.Module, trace: float | None) -> bool:
    """Whether the weights are those of the trace; True if that is not known."""
    found = trace_of(model)
    return None in (trace, found) or math.isclose(trace, found, rel_tol=1e-9)
