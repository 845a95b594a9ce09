"""A fingerprint of a network: a text that tells whether its weights are others."""

from hashlib import blake2b

import torch
from torch import Tensor, nn


def fingerprint_of(network: nn.Module) -> str | None:
    """Hash of the weights and saved buffers, in their order.

    None of a network without weights, and where they are sharded: no process has all.
    """
    weights = list(network.parameters())
    if not weights or any(type(weight.data) is not Tensor for weight in weights):
        return None
    digest = blake2b(digest_size=8)
    for value in network.state_dict().values():
        if isinstance(value, Tensor):
            plain = value.detach().cpu().contiguous().flatten()
            digest.update(plain.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def same_weights(network: nn.Module, saved: object) -> bool:
    """Whether weights are those of a fingerprint; True if that is not known.

    Files of version 0.5 hold a number, which says nothing of order, sign and buffers.
    """
    if not isinstance(saved, str):  # a file may hold anything
        return True
    fingerprint = fingerprint_of(network)
    return fingerprint is None or fingerprint == saved
