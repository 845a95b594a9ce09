"""Print the folder that ``nnUNet_extTrainer`` names."""

from pathlib import Path

print(Path(__file__).parent / 'trainers')
