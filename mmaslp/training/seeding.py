"""Seeding torch's generators in every iteration."""

import torch

from ..common.draws import generator_seed


def seed_torch(seed: int, iteration: int, rank: int) -> None:
    """Seed the generators of the CPU and, if it is in use, of the CUDA device.

    They depend on nothing else, so that a resumed training draws as an uninterrupted
    one. ``torch.manual_seed`` also queues seeds for accelerators that are not in use,
    each with a formatted traceback. In a loop that takes longer than the draws.
    """
    number = generator_seed(seed, iteration, rank)
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(number)
