"""The learner in a training of Lightning."""

from .callback import ASLPCallback

__all__ = ['ASLPCallback']
