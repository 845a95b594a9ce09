"""Errors that are about a config, whoever raises them."""

from collections.abc import Iterator
from contextlib import contextmanager

_MARK = '_mmaslp_is_about_config'


@contextmanager
def about_config() -> Iterator[None]:
    """Mark what is raised while a config is read, or a part of it is built.

    The error stays as it is. It is a decorator too.
    """
    try:
        yield
    except Exception as error:
        setattr(error, _MARK, True)
        raise


def is_about_config(error: Exception) -> bool:
    """Whether :func:`about_config` has marked an error."""
    return getattr(error, _MARK, False)
