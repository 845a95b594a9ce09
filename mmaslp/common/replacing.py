"""An attribute of another library that is replaced for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute of a module or class, and put it back.

    Args:
        owner (Any): Module or class that has the attribute itself.
        name (str): The attribute.
        value (Any): What stands in its place meanwhile.
    """
    original = vars(owner)[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
