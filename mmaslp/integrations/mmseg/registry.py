"""MMEngine's scope ``mmaslp``, so that configs can say ``mmaslp::demo/bce.py``.

MMEngine builds what comes from such a base with the registry of this scope. So there is
one below each of MMSegmentation's, which hold the components. It holds nothing, and
takes all from the one above.
"""

from importlib.metadata import distributions

import mmseg.registry as host
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry

from .checkpoint import allow_history_buffers
from .models.losses import SCBCELoss

# What to import before a component of MMSegmentation can be found.
_LOCATIONS = ('datasets', 'engine', 'evaluation', 'models', 'visualization')

#: The registries of the scope, by the name of their parent in ``mmseg.registry``.
REGISTRIES = {
    name: Registry(
        parent.name,
        parent=parent,
        scope='mmaslp',
        locations=[f'mmseg.{part}' for part in _LOCATIONS],
    )
    for name, parent in vars(host).items()
    if isinstance(parent, Registry)
}

# MMEngine reads a prefix only if it knows the distribution that it stands for.
MODULE2PACKAGE.setdefault('mmaslp', 'mmaslp')
# MMEngine does not know OneDL's distribution, and would find no mmseg:: base.
if any(distributions(name='onedl-mmsegmentation')):
    MODULE2PACKAGE['mmseg'] = 'onedl-mmsegmentation'

# The loss itself imports no MMSegmentation.
host.MODELS.register_module(module=SCBCELoss)
allow_history_buffers()
