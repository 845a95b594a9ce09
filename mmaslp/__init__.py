"""Calibrated binary segmentation: measure, correct and train probabilities.

With MMSegmentation installed, ``import mmaslp`` registers losses, hooks, metrics, data
sets, the neck and the model of test-time augmentation with its registries: at once if
MMSegmentation is imported already, else as soon as it is. Without it nothing is
registered and nothing is said: all other parts work alone.
"""

import sys
import warnings
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .version import __version__

if TYPE_CHECKING:  # editors and type checkers do not see what is imported later
    from . import functional
    from .augmentation.windows import ObjectFreeWindows
    from .calibration import Calibrator, dice_optimal_mask, fit_calibrator
    from .evaluation.evaluator import Evaluator
    from .evaluation.result import load_results
    from .levels import BandLevels, ImageBandLevels, ImageLevels
    from .losses import SelfCalibratingBCE
    from .metrics import BandTable, CalibrationHistogram

# The registered components, and the module of each.
_COMPONENTS = {
    'ASLPHook': 'engine.aslp_hook',
    'BinarySegTTAModel': 'models.segmentors',
    'CalibrationMetric': 'evaluation.metrics',
    'CalibratorHook': 'engine.calibrator_hook',
    'DilatedFusionNeck': 'models.necks',
    'LoadBinaryAnnotations': 'datasets.transforms',
    'DemoNucleiDataset': 'datasets.sod',
    'ObjectFreeCrop': 'datasets.transforms',
    'ProbMapHook': 'engine.scores_hooks',
    'RandomCenterCrop': 'datasets.transforms',
    'ReviewHook': 'engine.scores_hooks',
    'SCBCELoss': 'models.losses',
    'SODDataset': 'datasets.sod',
    'SODMetric': 'evaluation.metrics',
    'WindowsHook': 'engine.scores_hooks',
}
_MMSEG = 'mmaslp.integrations.mmseg'
_REGISTRY = 'mmseg.registry'
# The main names of the rooms, imported when they are asked for.
_ROOMS = {
    'BandTable': 'metrics',
    'BandLevels': 'levels',
    'CalibrationHistogram': 'metrics',
    'Calibrator': 'calibration',
    'Evaluator': 'evaluation.evaluator',
    'ImageBandLevels': 'levels',
    'ImageLevels': 'levels',
    'ObjectFreeWindows': 'augmentation.windows',
    'SelfCalibratingBCE': 'losses',
    'dice_optimal_mask': 'calibration',
    'fit_calibrator': 'calibration',
    'load_results': 'evaluation.result',
}
__all__ = [
    'BandLevels',
    'BandTable',
    'CalibrationHistogram',
    'Calibrator',
    'Evaluator',
    'ImageBandLevels',
    'ImageLevels',
    'ObjectFreeWindows',
    'SelfCalibratingBCE',
    '__version__',
    'dice_optimal_mask',
    'fit_calibrator',
    'functional',
    'load_results',
    'register_components',
]


@cache
def register_components() -> str | None:
    """Register the components with MMSegmentation; say why where that cannot be."""
    if find_spec('mmseg') is None:
        return (
            'MMSegmentation is not installed: run `pip install "mmaslp[onedl]"` (or '
            '"mmaslp[openmmlab]"); all but mmaslp.integrations.mmseg works without it'
        )

    try:
        import_module(_REGISTRY)
    except Exception as error:  # it asserts versions when it is imported
        problem = (
            f'MMSegmentation cannot be imported ({error!r}): `mmaslp doctor` '
            'says what to install'
        )
        warnings.warn(f'mmaslp registers nothing: {problem}', stacklevel=3)
        return problem

    with warnings.catch_warnings():  # MMEngine imports what torch deprecates
        warnings.filterwarnings('ignore', category=DeprecationWarning)
        for module in _COMPONENTS.values():
            import_module(f'{_MMSEG}.{module}')
        import_module(f'{_MMSEG}.registry')
    return None


class _WhenMMSegIsImported:
    """Registers the components before anything that builds them is imported.

    A script that imports mmaslp first would otherwise find none of its types: MMEngine
    imports what ``custom_imports`` names only once.
    """

    def find_spec(self, name, path=None, target=None):
        made = name.startswith('mmseg.') and not name.startswith(_REGISTRY)
        if made and _REGISTRY in sys.modules and self in sys.meta_path:
            sys.meta_path.remove(self)
            register_components()


if _REGISTRY in sys.modules:
    register_components()
else:
    sys.meta_path.insert(0, _WhenMMSegIsImported())


def __dir__():
    return sorted(set(globals()).union(__all__))


def __getattr__(name):
    if name == 'functional':
        return import_module('.functional', __name__)
    if name in _ROOMS:
        return getattr(import_module(f'mmaslp.{_ROOMS[name]}'), name)
    if name == 'BorderLevels':
        raise AttributeError('BorderLevels are BandLevels since version 0.7')
    if name not in _COMPONENTS:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    if name != 'SCBCELoss':  # which needs no MMSegmentation
        problem = register_components()
        if problem is not None:
            raise ImportError(f'mmaslp.{name} is not there: {problem}')
    return getattr(import_module(f'{_MMSEG}.{_COMPONENTS[name]}'), name)
