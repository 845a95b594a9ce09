"""The method: levels, draws, loss and learning rules, in pure torch."""

from .bank import AlphaBank
from .batch import BatchDraw, BatchState
from .functional import image_margin, sc_bce, sc_bce_per_image
from .perturbation import (
    PERTURBATIONS,
    Perturbation,
    max_alpha,
    perturb_target,
    resolve_perturbation,
)
from .rules import RULES, SOLVERS, update_alpha

__all__ = [
    'PERTURBATIONS',
    'RULES',
    'SOLVERS',
    'AlphaBank',
    'BatchDraw',
    'BatchState',
    'Perturbation',
    'image_margin',
    'max_alpha',
    'perturb_target',
    'resolve_perturbation',
    'sc_bce',
    'sc_bce_per_image',
    'update_alpha',
]
