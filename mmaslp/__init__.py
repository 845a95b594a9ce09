"""Adaptive Stochastic Label Perturbation for MMSegmentation.

With MMSegmentation (the host) installed, ``import mmaslp`` registers the loss, the
hooks, the metrics, the datasets, the neck and the TTA model with its registries.
Without a host it registers nothing and gives no warning: :mod:`mmaslp.core` is pure
torch and works alone.
"""

import warnings
from importlib import import_module
from importlib.util import find_spec

from .version import __version__

# The registered components, and the subpackage of each.
_COMPONENTS = {
    'ASLPHook': 'engine',
    'BinaryFocalLoss': 'models',
    'BinarySegTTAModel': 'models',
    'BrierLoss': 'models',
    'CalibrationMetric': 'evaluation.metrics',
    'DilatedFusionNeck': 'models',
    'LoadBinaryAnnotations': 'datasets',
    'ML1ACELoss': 'models',
    'MbLSLoss': 'models',
    'NACLLoss': 'models',
    'ProbMapHook': 'engine',
    'RandomCenterCrop': 'datasets',
    'SCBCELoss': 'models',
    'SODDataset': 'datasets',
    'SODMetric': 'evaluation.metrics',
    'SVLSLoss': 'models',
    'SyntheticSODDataset': 'datasets',
    'TemperatureHook': 'engine',
}
__all__ = ['__version__']


def _host_problem() -> str | None:
    """Say why nothing can be registered; warn if a host is installed but broken."""
    if find_spec('mmseg') is None:
        return (
            'MMSegmentation is not installed: run `pip install "mmaslp[onedl]"` (or '
            '"mmaslp[openmmlab]"); mmaslp.core works without it'
        )
    try:
        import_module('mmseg.registry')
    except Exception as error:  # the host asserts versions when it is imported
        problem = (
            f'MMSegmentation cannot be imported ({error!r}): `python -m mmaslp.doctor` '
            'says what to install'
        )
        warnings.warn(f'mmaslp registers nothing: {problem}', stacklevel=3)
        return problem
    return None


_PROBLEM = _host_problem()

if _PROBLEM is None:
    for _name, _package in _COMPONENTS.items():
        globals()[_name] = getattr(import_module(f'.{_package}', __name__), _name)
    from .utils.checkpoint import allow_history_buffers

    allow_history_buffers()
    import_module('.registry', __name__)
    __all__ += _COMPONENTS


def __getattr__(name):
    # Called for a component only without a host.
    if name in _COMPONENTS:
        raise ImportError(f'mmaslp.{name} is not there: {_PROBLEM}')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
