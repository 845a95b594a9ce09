"""Calls that ``torch.compile`` leaves alone."""

from functools import wraps
from typing import Any

import torch


def run_eagerly(function: Any) -> Any:
    """Keep ``torch.compile`` from tracing a function, as ``torch.compiler.disable``.

    That decorator takes a second of every process, to import the compiler.
    """
    if not hasattr(torch.compiler, 'is_compiling'):  # torch 2.1
        return torch.compiler.disable(function)

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*args, **kwargs)
        return function(*args, **kwargs)

    return call
