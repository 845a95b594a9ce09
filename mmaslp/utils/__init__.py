"""Helpers without any mm* dependency."""

from .archives import extract, is_archive
from .masks import decode_binary_mask, read_binary_mask

__all__ = ['decode_binary_mask', 'extract', 'is_archive', 'read_binary_mask']
