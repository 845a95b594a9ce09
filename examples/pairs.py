"""Images and masks in memory: the data of the examples, from torch and numpy alone."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from mmaslp.files.images import read_binary_mask
from mmaslp.files.layouts import NUCLEI

__all__ = ['BinaryPairs', 'load_splits']

_SPLITS = ('train', 'val', 'test')


class BinaryPairs(Dataset):
    """Images with binary masks, all of one size, in memory.

    Args:
        items (Iterable[tuple]): Per image its name, the image, ``(H, W, 3)`` uint8, and
            the mask, ``(H, W)`` of {0, 1}.

    Attributes:
        names (list[str]): The ids of the images.

    Example:
        >>> pairs = BinaryPairs.from_folder(NUCLEI / 'train', size=32)
        >>> pairs[1]['name'], pairs[1]['image'].shape, pairs[1]['mask'].shape
        ('train/fluorescent_0b0d57', torch.Size([3, 32, 32]), torch.Size([1, 32, 32]))
    """

    def __init__(self, items: Iterable[tuple[str, np.ndarray, np.ndarray]]) -> None:
        names, images, masks = zip(*items)
        self.names = list(names)
        self.images = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        self.masks = torch.from_numpy(np.stack(masks)).unsqueeze(1)

    @classmethod
    def from_folder(cls, folder: str | Path, size: int = 64) -> 'BinaryPairs':
        """Read a folder with the sub-folders ``images`` and ``masks``.

        An image and a mask belong together if their names without suffix are equal.

        Args:
            folder (str | Path): The folder.
            size (int): Images and masks are resized to this height and width. Defaults
                to 64.

        Raises:
            ValueError: There is no image, or one without a mask.
        """
        folder = Path(folder)
        images, masks = (
            {path.stem: path for path in sorted((folder / kind).glob('[!.]*.*'))}
            for kind in ('images', 'masks')
        )
        if not images:
            raise ValueError(
                f'{folder / "images"} holds no image: give a folder with images/ and '
                'masks/'
            )
        alone = sorted(images.keys() - masks.keys())
        if alone:
            raise ValueError(
                f'{len(alone)} of {len(images)} images have no mask of their name in '
                f'{folder / "masks"}, such as {alone[0]}'
            )
        return cls(
            (
                f'{folder.name}/{stem}',
                np.array(Image.open(path).convert('RGB').resize((size, size))),
                _resized(read_binary_mask(masks[stem]), size),
            )
            for stem, path in images.items()
        )

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one image.

        Returns:
            dict: ``image`` ``(3, H, W)`` float32 in [-1, 1], ``mask`` ``(1, H, W)``
            float32 of {0, 1}, and ``name``.
        """
        return dict(
            image=self.images[index].float() / 127.5 - 1,
            mask=self.masks[index].float(),
            name=self.names[index],
        )


def load_splits(
    folder: str | Path | None = None, size: int = 64
) -> dict[str, BinaryPairs]:
    """Load the splits ``train``, ``val`` and ``test``.

    Args:
        folder (str | Path, optional): Holds a folder per split, see
            :meth:`BinaryPairs.from_folder`. Defaults to None: the nuclei that come
            with the package.
        size (int): Height and width in pixels. Defaults to 64.

    Returns:
        dict[str, BinaryPairs]: By the name of the split.
    """
    return {
        split: BinaryPairs.from_folder(Path(folder or NUCLEI) / split, size)
        for split in _SPLITS
    }


def _resized(mask: np.ndarray, size: int) -> np.ndarray:
    nearest = Image.Resampling.NEAREST
    return np.array(Image.fromarray(mask).resize((size, size), nearest))
