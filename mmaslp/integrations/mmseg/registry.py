"""MMEngine's scope ``mmaslp``, so that configs can say ``mmaslp::demo/bce.py``.

MMEngine builds what comes from such a base with the registry of this scope. So there is
one below each of MMSegmentation's, which hold the components. It holds nothing, and
takes all from the one above.
"""

import mmseg.registry as host
from mmengine.registry import Registry

from . import config  # noqa: F401 - makes the prefixes of bases known
from .checkpoint import allow_history_buffers
from .models.losses import SCBCELoss

#: The registries of the scope, by the name of their parent in ``mmseg.registry``.
REGISTRIES: dict[str, Registry] = {}
for _name, _parent in list(vars(host).items()):
    if isinstance(_parent, Registry):
        REGISTRIES[_name] = Registry(
            _parent.name,
            parent=_parent,
            scope='mmaslp',
            # What to import before a component of MMSegmentation can be found.
            locations=[
                'mmseg.datasets',
                'mmseg.engine',
                'mmseg.evaluation',
                'mmseg.models',
                'mmseg.visualization',
            ],
        )

# The loss itself imports no MMSegmentation.
host.MODELS.register_module(module=SCBCELoss)
allow_history_buffers()
