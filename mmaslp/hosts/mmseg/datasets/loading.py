"""The loader of binary masks."""

from mmengine import fileio
from mmseg.registry import TRANSFORMS

from ....files.masks import check_reading, decode_binary_mask


@TRANSFORMS.register_module()
class LoadBinaryAnnotations:
    """Load a binary mask as labels 0 and 1; takes the place of ``LoadAnnotations``.

    MMSegmentation's loader keeps the value 255 of a 0/255 mask. Its losses and metrics
    ignore 255, and then every metric is 100. This loader reads
    1-bit, 0/1, 0/255, grey-edged, RGB(A), palette, 16-bit and JPEG masks, and refuses
    files that are not binary (:func:`mmaslp.files.masks.decode_binary_mask`).

    Required keys: ``seg_map_path``.

    Added keys: ``gt_seg_map``, ``(H, W)`` uint8 of {0, 1}, with the size of the image
    file, and its name in ``seg_fields``.

    Args:
        grey_edge (str): 'threshold' cuts grey edges at half, 'ignore' gives them the
            label ``ignore_index``. Defaults to 'threshold'.
        graded (bool): Accept masks of votes in any grey (first release of PASCAL-S) and
            cut them at half. Defaults to False.
        ignore_index (int): The label of ignored edges. Defaults to 255.
        backend_args (dict, optional): mmengine's file backend. Defaults to None.

    Raises:
        ValueError: The mask is not binary or of another size than its image; the
            message names the file.
    """

    def __init__(
        self,
        grey_edge: str = 'threshold',
        graded: bool = False,
        ignore_index: int = 255,
        backend_args: dict | None = None,
    ) -> None:
        check_reading(graded, grey_edge, ignore_index)
        self.grey_edge = grey_edge
        self.graded = graded
        self.ignore_index = ignore_index
        self.backend_args = backend_args

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
        mask = decode_binary_mask(
            fileio.get(path, backend_args=self.backend_args),
            path,
            graded=self.graded,
            grey_edge=self.grey_edge,
            ignore_index=self.ignore_index,
        )
        if shape is not None and mask.shape != tuple(shape[:2]):
            raise ValueError(
                f'{path}: the mask is {mask.shape[1]} x {mask.shape[0]} pixels, its '
                f'image {results["img_path"]} is {shape[1]} x {shape[0]}'
            )
        results['gt_seg_map'] = mask
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results
