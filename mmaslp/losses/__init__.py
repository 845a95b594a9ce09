"""Losses of binary segmentation, in pure torch: they need no host.

In a loop of your own, :class:`SelfCalibratingBCE` takes the draw of
:class:`~mmaslp.core.ASLP` as an argument. All other losses, :class:`SCBCELoss` among
them, are called as the heads of MMSegmentation call theirs. There they are registered
under their names; elsewhere ``BrierLoss()(logits, labels)`` is enough.
"""

from ..core.aslp.loss import SelfCalibratingBCE
from .binary import BinaryLoss
from .binary_focal_loss import BinaryFocalLoss
from .brier_loss import BrierLoss
from .crac_loss import CRaCLoss
from .mbls_loss import MbLSLoss
from .ml1_ace_loss import ML1ACELoss
from .nacl_loss import NACLLoss
from .sc_bce_loss import SCBCELoss
from .svls_loss import SVLSLoss

__all__ = [
    'BinaryFocalLoss',
    'BinaryLoss',
    'BrierLoss',
    'CRaCLoss',
    'ML1ACELoss',
    'MbLSLoss',
    'NACLLoss',
    'SCBCELoss',
    'SVLSLoss',
    'SelfCalibratingBCE',
]
