"""Images and masks in memory: the data of the examples, from torch and numpy alone."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from mmaslp.files.images import read_binary_mask
from mmaslp.files.synthetic import draw_split

__all__ = ['BinaryPairs', 'load_splits']

# So few training images that a network over-fits them within a minute.
_NUM_IMAGES = {'train': 24, 'val': 60, 'test': 100}


class BinaryPairs(Dataset):
    """Images with binary masks, all of one size, in memory.

    Args:
        items (Iterable[tuple]): Per image its name, the image, ``(H, W, 3)`` uint8, and
            the mask, ``(H, W)`` of {0, 1}.

    Attributes:
        names (list[str]): The ids of the images.

    Example:
        >>> pairs = BinaryPairs.built_in('train', number=2, size=32)
        >>> pairs[1]['name'], pairs[1]['image'].shape, pairs[1]['mask'].shape
        ('train/00001', torch.Size([3, 32, 32]), torch.Size([1, 32, 32]))
    """

    def __init__(self, items: Iterable[tuple[str, np.ndarray, np.ndarray]]) -> None:
        names, images, masks = zip(*items)
        self.names = list(names)
        self.images = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        self.masks = torch.from_numpy(np.stack(masks)).unsqueeze(1)

    @classmethod
    def built_in(
        cls, split: str, number: int | None = None, size: int = 64, seed: int = 0
    ) -> 'BinaryPairs':
        """Draw a split of the built-in set.

        Args:
            split (str): 'train', 'val' or 'test'.
            number (int, optional): Number of images. Defaults to None: 24, 60 or 100.
            size (int): Height and width in pixels, >= 32. Defaults to 64.
            seed (int): Seed of the set. Defaults to 0.
        """
        if number is None:
            number = _NUM_IMAGES[split]
        drawn = draw_split(split, number, size, seed)
        return cls(
            (f'{split}/{i:05d}', image, mask // 255)
            for i, (image, mask) in enumerate(drawn)
        )

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
            :meth:`BinaryPairs.from_folder`. Defaults to None: the built-in set.
        size (int): Height and width in pixels. Defaults to 64.

    Returns:
        dict[str, BinaryPairs]: By the name of the split.
    """
    if folder is None:
        return {split: BinaryPairs.built_in(split, size=size) for split in _NUM_IMAGES}
    return {
        split: BinaryPairs.from_folder(Path(folder) / split, size)
        for split in _NUM_IMAGES
    }


def _resized(mask: np.ndarray, size: int) -> np.ndarray:
    nearest = Image.Resampling.NEAREST
    return np.array(Image.fromarray(mask).resize((size, size), nearest))
