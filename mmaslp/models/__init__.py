"""Registered losses and segmentors."""

from . import losses, segmentors  # noqa: F401
