"""One thread, for work on many small arrays, which more threads slow down."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ['one_thread']


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside of the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
