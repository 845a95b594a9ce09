"""Seeding torch's generators in every iteration."""

import torch


def seed_torch(seed: int) -> None:
    """Seed the generators of the CPU and, if it is in use, of the CUDA device.

    ``torch.manual_seed`` also queues seeds for accelerators that are not in use, each
    with a formatted traceback. In a loop that takes longer than the draws.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(seed)
