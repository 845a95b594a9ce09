"""A map on disk: its file, and what lies beside it."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Union

import numpy as np

from .nnunet_maps import NNUNetDataset, find_dataset
from .volumes import NIFTI_SUFFIXES, Grid, grid_of, is_nifti, stem_of


@dataclass(frozen=True)
class StoredMap:
    """A map on disk; what is known of it is looked up once.

    Args:
        path (Path): Its file.
    """

    path: Path

    @classmethod
    def at(cls, path: Union[str, Path, 'StoredMap']) -> 'StoredMap':
        """The map of a file."""
        if isinstance(path, StoredMap):
            return path
        return cls(Path(path))

    @cached_property
    def suffix(self) -> str:
        """str: Ending of its name in small letters, which says what the file is."""
        return suffix_of(self.path)

    @cached_property
    def dataset(self) -> NNUNetDataset | None:
        """What nnU-Net's ``dataset.json`` says of a .npz map; None without one."""
        if self.suffix != '.npz':
            return None
        return find_dataset(self.path.parent)

    @property
    def is_reoriented(self) -> bool:
        """bool: Whether nnU-Net turned the volume before it predicted it."""
        return self.dataset is not None and self.dataset.reorient

    @cached_property
    def nifti(self) -> Path | None:
        """The NIfTI file that it is or that lies beside it, as nnU-Net writes one."""
        if is_nifti(self.path):
            return self.path
        stem = stem_of(self.path)
        for suffix in NIFTI_SUFFIXES:
            beside = self.path.with_name(stem + suffix)
            if os.path.isfile(beside):  # False of a name that is too long
                return beside
        return None

    @cached_property
    def grid(self) -> Grid | None:
        """Its grid, by its NIfTI file or one beside it; None without one."""
        if self.nifti is None:
            return None
        return grid_of(self.nifti, self.is_reoriented)

    @cached_property
    def slice_axis(self) -> int:
        """int: Axis of a volume that its slices are stacked along, as it is stored.

        Bands of distance lie in slices. nnU-Net's plan names the axis; without a plan
        it is that of the largest spacing, by the NIfTI file itself or one beside it;
        else the first.
        """
        if self.dataset is not None and self.dataset.slice_axis is not None:
            return self.dataset.slice_axis
        if self.grid is None:
            return 0
        return self.grid.slice_axis

    def slices_first(self, values: np.ndarray) -> np.ndarray:
        """Put the axis of the slices first, of its values or of its mask."""
        if values.ndim < 3 or self.slice_axis == 0:
            return values
        return np.ascontiguousarray(np.moveaxis(values, self.slice_axis, 0))

    def as_stored(self, values: np.ndarray) -> np.ndarray:
        """Put the axis of the slices back where the file has it."""
        if values.ndim < 3:
            return values
        return np.moveaxis(values, 0, self.slice_axis)


def suffix_of(path: str | Path) -> str:
    """Ending of a file's name in small letters, which says what the file is."""
    suffix = Path(path).suffix.lower()
    if suffix == '.gz' and is_nifti(path):
        return '.nii.gz'
    return suffix
