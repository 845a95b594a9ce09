"""A config of MMSegmentation, as a training reads it."""

from mmaslp.integrations.mmseg.config import import_modules, read_config


def load_config(path, options=None):
    """Read a config, and import its ``custom_imports``."""
    cfg = read_config(path, options)
    import_modules(cfg)
    return cfg
