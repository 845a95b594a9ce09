"""The loader of binary masks."""

from mmseg.registry import TRANSFORMS

from ....core.argument_checks import check_bool
from ....files.masks import read_binary_mask


@TRANSFORMS.register_module()
class LoadBinaryAnnotations:
    """Load a binary mask as labels 0 and 1; takes the place of ``LoadAnnotations``.

    MMSegmentation's loader keeps the value 255 of a 0/255 mask. Its losses and metrics
    ignore 255, and then every metric is 100. This loader reads
    1-bit, 0/1, 0/255, grey-edged, RGB(A), palette, 16-bit and JPEG masks, and refuses
    files that are not binary (:func:`mmaslp.files.masks.read_binary_mask`).

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
        if 'seg_map_path' not in results and 'seg_fields' in results:
            raise ValueError(
                f'{results.get("img_path")}: the dataset gives no seg_map_path: set '
                'data_prefix=dict(img_path=..., seg_map_path=...)'
            )
        if 'seg_map_path' not in results:
            return results  # only an image, as MMSegmentation's inference APIs pass it
        path = results['seg_map_path']
        shape = results.get('ori_shape')
        mask = read_binary_mask(path, graded=self.graded)
        if shape is not None and mask.shape != tuple(shape[:2]):
            raise ValueError(
                f'{path}: the mask is {mask.shape[1]} x {mask.shape[0]} pixels, its '
                f'image {results["img_path"]} is {shape[1]} x {shape[0]}'
            )
        results['gt_seg_map'] = mask
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results
