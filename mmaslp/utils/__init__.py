"""Helpers without any mm* dependency."""

from .masks import decode_binary_mask, read_binary_mask

__all__ = ['decode_binary_mask', 'read_binary_mask']
