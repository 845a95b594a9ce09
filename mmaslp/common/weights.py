"""A fingerprint of weights: a number that tells whether a network is another one."""

import math

from torch import Tensor, nn

# Sums of squares of the same weights agree within it, in the same precision.
TOLERANCE = 1e-9


def fingerprint_of(network: nn.Module) -> float | None:
    """Sum of squares of the weights; None without any, or where they are sharded."""
    weights = [weight.data for weight in network.parameters()]
    if not weights or any(type(weight) is not Tensor for weight in weights):
        return None
    return math.fsum(weight.double().square().sum().item() for weight in weights)


def same_weights(network: nn.Module, saved: object) -> bool:
    """Whether weights are those of a fingerprint; True if that is not known."""
    if not isinstance(saved, float):  # a file may hold anything
        return True
    found = fingerprint_of(network)
    return found is None or math.isclose(saved, found, rel_tol=TOLERANCE)
