"""Registered models: the loss, the released decoder, test-time augmentation."""
