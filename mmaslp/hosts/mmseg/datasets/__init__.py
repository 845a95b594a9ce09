"""Datasets and transforms, registered with the host when they are first asked for.

The modules that draw scenes and decode masks need no host.
"""

from importlib import import_module

__all__ = [
    'LoadBinaryAnnotations',
    'RandomCenterCrop',
    'SODDataset',
    'SyntheticSODDataset',
    'make_synthetic_sod',
]
_MODULES = dict(zip(__all__, ('transforms', 'transforms', 'sod', *2 * ['synthetic'])))


def __getattr__(name):
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'.{_MODULES[name]}', __name__), name)
