"""MMSegmentation as it is preloaded, without timm.

It imports timm, in two seconds, for a backbone that no test builds.
"""

import sys

sys.modules['timm'] = None

import mmengine.runner  # noqa: E402, F401
import mmseg.engine  # noqa: E402
import mmseg.models  # noqa: E402, F401
import torch._dynamo  # noqa: E402, F401 - each training imports it

del sys.modules['timm']
