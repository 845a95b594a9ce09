"""Registered transforms: the loader of binary masks, and crops."""

import numpy as np
from mmseg.registry import TRANSFORMS

from ....augmentation.windows import PROB, SMALLEST, ObjectFreeWindows
from ....common.arguments import check_bool, check_integer
from ....common.inputs import naming
from ....files.images import read_binary_mask


@TRANSFORMS.register_module()
class LoadBinaryAnnotations:
    """Load a binary mask as labels 0 and 1; takes the place of ``LoadAnnotations``.

    MMSegmentation's loader keeps the value 255 of a 0/255 mask. Its losses and metrics
    ignore 255, and then every metric is 100. This loader reads
    1-bit, 0/1, 0/255, grey-edged, RGB(A), palette, 16-bit and JPEG masks, and refuses
    files that are not binary (:func:`mmaslp.files.images.read_binary_mask`).

    Required keys: ``seg_map_path``.

    Added keys: ``gt_seg_map``, ``(H, W)`` uint8 of {0, 1}, with the size of the image
    file, and its name in ``seg_fields``.

    Args:
        graded (bool): Accept masks of votes in any grey (first release of PASCAL-S) and
            cut them at half. Defaults to False.

    Raises:
        ValueError: The mask is not binary or of another size than its image; the
            message names the file.
    """

    def __init__(self, graded: bool = False) -> None:
        self.graded = check_bool('graded', graded)

    def __call__(self, results: dict) -> dict:
        """Load the mask that belongs to an image."""
        if 'seg_map_path' not in results:
            return results  # only an image, as MMSegmentation's inference APIs pass it
        path = results['seg_map_path']
        mask = read_binary_mask(path, graded=self.graded)
        shape = results.get('ori_shape', mask.shape)
        if mask.shape != tuple(shape[:2]):
            raise ValueError(
                f'{path}: the mask is {mask.shape[1]} x {mask.shape[0]} pixels, its '
                f'image {results["img_path"]} is {shape[1]} x {shape[0]}'
            )

        results['gt_seg_map'] = mask
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results


@TRANSFORMS.register_module()
class RandomCenterCrop:
    """Crop a centred window that is up to ``border`` pixels smaller on each axis.

    Width and height are drawn separately, each uniform between side - border and side -
    1. So the aspect ratio varies a little.

    Args:
        border (int): The most that is cut from an axis, in pixels, >= 1. Defaults to
            30.

    Raises:
        ValueError: ``border`` is below 1, or an image is not larger than it; the
            message names the image.

    Source: the augmentation in ``data.py`` of https://github.com/Carlisle-Liu/ASLP.
    """

    def __init__(self, border: int = 30) -> None:
        self.border = check_integer('border', border, at_least=1)

    def __call__(self, results: dict) -> dict:
        """Crop an image and its masks."""
        height, width = results['img'].shape[:2]
        if min(height, width) <= self.border:
            raise ValueError(
                f'{results.get("img_path")}: {width} x {height} pixels are too few to '
                f'cut up to {self.border}: lower border of RandomCenterCrop'
            )
        window = self._window(height), self._window(width)
        for key in ('img', *results.get('seg_fields', [])):
            results[key] = results[key][window]
        results['img_shape'] = results['img'].shape[:2]
        return results

    def _window(self, side: int) -> slice:
        kept = np.random.randint(side - self.border, side)
        start = (side - kept) // 2
        return slice(start, start + kept)


@TRANSFORMS.register_module()
class ObjectFreeCrop:
    """Now and then replace a sample by an object-free window of its image.

    The window, of random size and place, has no pixel of foreground and none that is
    ignored. It is resized to the image, and its mask is 0 everywhere. So a network
    learns that there may be nothing, where every image of the set holds an object. A
    sample without room for a window is replaced by a window of an earlier one, and
    stays as it is if there was none. It goes anywhere after the image and mask are
    loaded, before or after they are resized.

    Required and changed keys: ``img``, and the masks of ``seg_fields``, of which
    ``gt_seg_map`` says where objects are.

    Args:
        prob (float): How often, in [0, 1]. Defaults to 0.125.
        smallest (float): Least side of a window, as a share of the image's, in (0, 1].
            Defaults to 0.25.

    Raises:
        ValueError: An argument is out of its range; there is no ``gt_seg_map``, or it
            has another size than the image.

    Example:
        >>> train_pipeline = [
        ...     dict(type='LoadImageFromFile'), dict(type='LoadBinaryAnnotations'),
        ...     dict(type='ObjectFreeCrop'), dict(type='Resize', scale=(320, 320)),
        ...     dict(type='PackSegInputs')]
    """

    def __init__(self, prob: float = PROB, smallest: float = SMALLEST) -> None:
        self._windows = ObjectFreeWindows(prob, smallest)

    def __call__(self, results: dict) -> dict:
        """Replace the image and its masks, or leave them."""
        if 'gt_seg_map' not in results:
            raise ValueError(
                f'{results.get("img_path", "a sample")}: ObjectFreeCrop needs '
                'gt_seg_map: put it after LoadBinaryAnnotations and before '
                'PackSegInputs'
            )
        with naming(results.get('img_path')):
            image, mask = self._windows(results['img'], results['gt_seg_map'])
        if mask is results['gt_seg_map']:
            return results

        results['img'] = image
        for key in results['seg_fields']:
            results[key] = np.zeros_like(results[key])
        return results
