"""The method: levels by band or by image, and the loss that takes them, in torch."""

from .bank import AlphaBank
from .border_levels import BorderLevels
from .functional import image_margin, sc_bce, sc_bce_per_image
from .image_levels import ImageLevels
from .loss import SelfCalibratingBCE
from .perturbation import (
    PERTURBATIONS,
    Perturbation,
    max_alpha,
    perturb_target,
    resolve_perturbation,
)
from .rules import (
    FB,
    MC,
    ME,
    RULES,
    SOLVERS,
    Fixed,
    Rule,
    Validation,
    make_rule,
    update_alpha,
)
from .sample import Sample

__all__ = [
    'FB',
    'MC',
    'ME',
    'PERTURBATIONS',
    'RULES',
    'SOLVERS',
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
    'resolve_perturbation',
    'sc_bce',
    'sc_bce_per_image',
    'update_alpha',
]
