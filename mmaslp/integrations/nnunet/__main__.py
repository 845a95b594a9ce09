"""Print the folder that ``nnUNet_extTrainer`` names."""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec('nnunetv2') is None:
    sys.exit('nnU-Net v2 is not installed: pip install "mmaslp[nnunet]"')
print(Path(__file__).parent / 'trainers')
