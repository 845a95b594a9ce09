"""The method: levels, draws, loss, learning rules and learner, in pure torch."""

from .bank import AlphaBank
from .batch import BatchDraw, DrawSlot
from .functional import image_margin, sc_bce, sc_bce_per_image
from .learner import ASLP
from .loss import SelfCalibratingBCE
from .perturbation import (
    PERTURBATIONS,
    Perturbation,
    max_alpha,
    perturb_target,
    resolve_perturbation,
)
from .rules import FB, MC, ME, RULES, SOLVERS, Fixed, Measured, Rule, make_rule
from .update import update_alpha

__all__ = [
    'ASLP',
    'FB',
    'MC',
    'ME',
    'PERTURBATIONS',
    'RULES',
    'SOLVERS',
    'AlphaBank',
    'BatchDraw',
    'DrawSlot',
    'Fixed',
    'Measured',
    'Perturbation',
    'Rule',
    'SelfCalibratingBCE',
    'image_margin',
    'make_rule',
    'max_alpha',
    'perturb_target',
    'resolve_perturbation',
    'sc_bce',
    'sc_bce_per_image',
    'update_alpha',
]
