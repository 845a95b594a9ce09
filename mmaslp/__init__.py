"""Calibrated binary segmentation: measure, correct and train probabilities.

With MMSegmentation installed, ``import mmaslp`` registers losses, hooks, metrics, data
sets, the neck and the model of test-time augmentation with its registries. Without it
nothing is registered and nothing is said: all other parts work alone.
"""

import sys
import warnings
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import PurePath

from .version import __version__

# The registered components, and the subpackage of each.
_COMPONENTS = {
    'ASLPHook': 'hooks',
    'BinarySegTTAModel': 'models',
    'CalibrationMetric': 'metrics',
    'CalibratorHook': 'hooks',
    'DilatedFusionNeck': 'models',
    'LoadBinaryAnnotations': 'datasets',
    'ProbMapHook': 'hooks',
    'RandomCenterCrop': 'datasets',
    'SCBCELoss': 'models',
    'SODDataset': 'datasets',
    'SODMetric': 'metrics',
    'SyntheticSODDataset': 'datasets',
}
_HOST = 'mmaslp.hosts.mmseg'
# The main names of the core, imported when they are asked for.
_CORE = {
    'BandTable': 'measure',
    'BorderLevels': 'levels',
    'CalibrationHistogram': 'measure',
    'Calibrator': 'calibrators',
    'ImageLevels': 'levels',
    'SelfCalibratingBCE': 'levels',
    'dice_optimal_mask': 'calibrators.masks',
    'fit_calibrator': 'calibrators',
}
__all__ = ['__version__', 'functional', 'register_components', *_CORE]


def _host_problem() -> str | None:
    """Say why nothing can be registered; warn if it is installed but broken."""
    if find_spec('mmseg') is None:
        return (
            'MMSegmentation is not installed: run `pip install "mmaslp[onedl]"` (or '
            '"mmaslp[openmmlab]"); mmaslp.core works without it'
        )
    try:
        import_module('mmseg.registry')
    except Exception as error:  # it asserts versions when it is imported
        problem = (
            f'MMSegmentation cannot be imported ({error!r}): `mmaslp doctor` '
            'says what to install'
        )
        warnings.warn(f'mmaslp registers nothing: {problem}', stacklevel=4)
        return problem
    return None


@cache
def register_components() -> str | None:
    """Register the components with the registries of MMSegmentation."""
    problem = _host_problem()
    if problem is not None:
        return problem
    with warnings.catch_warnings():  # MMEngine imports what torch deprecates
        warnings.filterwarnings('ignore', category=DeprecationWarning)
        for name, package in _COMPONENTS.items():
            globals()[name] = getattr(import_module(f'{_HOST}.{package}'), name)
        from .hosts.mmseg.safe_loading import allow_history_buffers

        allow_history_buffers()
        import_module(f'{_HOST}.registry')
    __all__.extend(_COMPONENTS)
    return None


def _is_command() -> bool:
    """Whether this process is the command ``mmaslp`` (or ``python -m mmaslp``)."""
    program = sys.argv[0] if sys.argv else ''
    if program not in sys.orig_argv:
        return False  # a child process of multiprocessing is told its parent's argv
    if program == '-m':
        program = sys.orig_argv[sys.orig_argv.index('-m') + 1]
    return PurePath(program).name in ('mmaslp', 'mmaslp.exe')


# The command registers once it knows what to do: its help does not need MMSegmentation,
# which takes seconds to import.
if not _is_command():
    register_components()


def __getattr__(name):
    if name == 'functional':
        return import_module('.functional', __name__)
    if name in _CORE:
        return getattr(import_module(f'mmaslp.core.{_CORE[name]}'), name)
    # Called for a component only if nothing is registered, or not yet.
    if name == 'SCBCELoss':
        return import_module(f'{_HOST}.losses').SCBCELoss
    if name in _COMPONENTS:
        problem = register_components()
        if problem is None:
            return globals()[name]
        raise ImportError(f'mmaslp.{name} is not there: {problem}')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
