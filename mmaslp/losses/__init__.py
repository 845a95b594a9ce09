"""The criterion, and the perturbations of the labels that it trains on; pure torch."""

from .criterion import SelfCalibratingBCE
from .functional import image_margin, sc_bce
from .perturbations import Perturbation, max_alpha, perturb_target
from .targets import Levels, Sample

__all__ = [
    'Levels',
    'Perturbation',
    'Sample',
    'SelfCalibratingBCE',
    'image_margin',
    'max_alpha',
    'perturb_target',
    'sc_bce',
]
