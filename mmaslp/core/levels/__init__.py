"""The method: levels by band or by image, and the loss that takes them, in torch."""

from .bank import AlphaBank
from .border_levels import BorderLevels
from .functional import image_margin, sc_bce
from .image_levels import ImageLevels
from .loss import SelfCalibratingBCE
from .perturbation import Perturbation, max_alpha, perturb_target
from .rules import FB, MC, ME, RULES, Fixed, Rule, Validation, make_rule, update_alpha
from .sample import Sample

__all__ = [
    'FB',
    'MC',
    'ME',
    'RULES',
    'AlphaBank',
    'BorderLevels',
    'Fixed',
    'ImageLevels',
    'Perturbation',
    'Rule',
    'Sample',
    'SelfCalibratingBCE',
    'Validation',
    'image_margin',
    'make_rule',
    'max_alpha',
    'perturb_target',
    'sc_bce',
    'update_alpha',
]
