"""Levels that move the targets of the criterion: by band or by image; pure torch."""

from .bands import BandLevels
from .image import ImageLevels
from .rules import FB, MC, ME, RULES, Fixed, Rule, Validation, make_rule, update_alpha

__all__ = [
    'FB',
    'MC',
    'ME',
    'RULES',
    'BandLevels',
    'Fixed',
    'ImageLevels',
    'Rule',
    'Validation',
    'make_rule',
    'update_alpha',
]
