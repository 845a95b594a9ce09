"""Levels that move the targets of the criterion, by image or band; pure torch."""

from .bands import BandLevels
from .image import ImageLevels
from .image_bands import ImageBandLevels
from .rules import FB, MC, ME, RULES, Fixed, Rule, Validation, make_rule

__all__ = [
    'FB',
    'MC',
    'ME',
    'RULES',
    'BandLevels',
    'Fixed',
    'ImageBandLevels',
    'ImageLevels',
    'Rule',
    'Validation',
    'make_rule',
]
