"""The losses of :mod:`mmaslp.losses`, registered with the host."""

from mmseg.registry import MODELS

from ...losses import (
    BinaryFocalLoss,
    BrierLoss,
    CRaCLoss,
    MbLSLoss,
    ML1ACELoss,
    NACLLoss,
    SCBCELoss,
    SVLSLoss,
)

__all__ = [
    'BinaryFocalLoss',
    'BrierLoss',
    'CRaCLoss',
    'ML1ACELoss',
    'MbLSLoss',
    'NACLLoss',
    'SCBCELoss',
    'SVLSLoss',
]

for _name in __all__:
    MODELS.register_module(module=globals()[_name])
