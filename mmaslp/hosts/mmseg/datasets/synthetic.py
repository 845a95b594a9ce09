"""The built-in data as a registered data set."""

from typing import Any

from mmseg.registry import DATASETS

from ....core.argument_checks import check_choice
from ....files.synthetic import NUM_IMAGES, check_settings, make_synthetic_sod
from .sod import SODDataset


@DATASETS.register_module()
class SyntheticSODDataset(SODDataset):
    """A split of the built-in data, written to disk when it is first used.

    Args:
        data_root (str): Folder of the set. Defaults to 'data/synthetic_sod'.
        split (str): 'train', 'val' or 'test'. Defaults to 'train'.
        seed (int): Seed of the set. Defaults to 0.
        size (int): Height and width of the images. Defaults to 64.
        num_images (dict[str, int], optional): Images of each split. Defaults to None,
            40 / 480 / 600.
        **kwargs: Arguments of :class:`SODDataset`.

    Raises:
        ValueError: See :func:`make_synthetic_sod`; or an unknown split.

    Example:
        >>> train = dict(type='SyntheticSODDataset', split='train', pipeline=[...])
    """

    def __init__(
        self,
        data_root: str = 'data/synthetic_sod',
        split: str = 'train',
        seed: int = 0,
        size: int = 64,
        num_images: dict[str, int] | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice('split', split, tuple(NUM_IMAGES))
        self.settings = dict(seed=seed, size=size, num_images=num_images)
        check_settings(**self.settings)
        super().__init__(data_root=data_root, split=split, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Write the set if needed, then pair images and masks."""
        make_synthetic_sod(self.data_root, **self.settings)
        return super().load_data_list()
