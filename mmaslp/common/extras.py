"""Libraries that an extra of the package installs."""

from importlib import import_module
from types import ModuleType


def import_extra(library: str, extra: str, what: str) -> ModuleType:
    """Import a library that ``what`` needs, or say what to install."""
    try:
        return import_module(library)
    except ImportError as error:
        raise ImportError(
            f'{what} needs {library}: pip install "mmaslp[{extra}]"'
        ) from error
