"""Adaptive Stochastic Label Perturbation for MMSegmentation.

``import mmaslp`` registers the loss, the hooks, the metrics, the datasets, the neck
and the TTA model with MMSegmentation's registries. :mod:`mmaslp.core` is pure torch and
works without any host.
"""

import warnings
from importlib.util import find_spec

from .version import __version__

_REGISTERED = [
    'ASLPHook',
    'BinaryFocalLoss',
    'BinarySegTTAModel',
    'BrierLoss',
    'CalibrationMetric',
    'DilatedFusionNeck',
    'LoadBinaryAnnotations',
    'ML1ACELoss',
    'MbLSLoss',
    'NACLLoss',
    'ProbMapHook',
    'RandomCenterCrop',
    'SCBCELoss',
    'SODDataset',
    'SODMetric',
    'SyntheticSODDataset',
    'TemperatureHook',
]


def _host_problem() -> str | None:
    if find_spec('mmseg') is None or find_spec('mmengine') is None:
        return (
            'mmaslp registers nothing because MMSegmentation is not installed: run '
            '`pip install "mmaslp[onedl]"` (or "mmaslp[openmmlab]"); mmaslp.core works '
            'without it'
        )
    try:
        import mmseg.registry  # noqa: F401
    except Exception as error:  # the host asserts versions when it is imported
        return (
            f'mmaslp registers nothing because MMSegmentation cannot be imported '
            f'({error!r}): `python -m mmaslp.doctor` says what to install'
        )
    return None


_PROBLEM = _host_problem()

if _PROBLEM is not None:
    warnings.warn(_PROBLEM, stacklevel=2)
    __all__ = ['__version__']

    def __getattr__(name):
        if name in _REGISTERED:
            raise ImportError(_PROBLEM)
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
else:
    from .datasets import (
        LoadBinaryAnnotations,
        RandomCenterCrop,
        SODDataset,
        SyntheticSODDataset,
    )
    from .engine import ASLPHook, ProbMapHook, TemperatureHook
    from .evaluation.metrics import CalibrationMetric, SODMetric
    from .models import (
        BinaryFocalLoss,
        BinarySegTTAModel,
        BrierLoss,
        DilatedFusionNeck,
        MbLSLoss,
        ML1ACELoss,
        NACLLoss,
        SCBCELoss,
    )
    from .utils.checkpoint import allow_history_buffers

    allow_history_buffers()
    __all__ = [
        'ASLPHook',
        'BinaryFocalLoss',
        'BinarySegTTAModel',
        'BrierLoss',
        'CalibrationMetric',
        'DilatedFusionNeck',
        'LoadBinaryAnnotations',
        'ML1ACELoss',
        'MbLSLoss',
        'NACLLoss',
        'ProbMapHook',
        'RandomCenterCrop',
        'SCBCELoss',
        'SODDataset',
        'SODMetric',
        'SyntheticSODDataset',
        'TemperatureHook',
        '__version__',
    ]
