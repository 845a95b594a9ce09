"""A review as COCO JSON, which annotation tools and viewers of datasets read."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..common.extras import import_extra
from ..common.outputs import write_output
from .images import upright
from .names import display_name, some
from .reviews import Judged, Reviewed

CATEGORY = {'id': 1, 'name': 'object'}


def encode_image(photos: Mapping[str, Path], image: Judged) -> dict[str, Any]:
    """Give file name, size, and RLE, area and box of each object of an image.

    ``photos`` are photographs by the name of their image, whose size is taken;
    without one the map takes its place.

    Raises:
        ValueError: It is a volume.
        ImportError: pycocotools is not installed.
    """
    rle = import_extra('pycocotools.mask', 'coco', '`write_coco`')
    if image.prob.ndim != 2:
        raise ValueError('COCO is for images: write volumes with `write_volume`')

    labels = image.objects.labels
    photo = photos.get(image.name, image.path)
    fits = True
    if image.name in photos:
        picture, fits = upright(photo, labels.shape)
        labels = np.asarray(
            Image.fromarray(labels).resize(picture.size, Image.Resampling.NEAREST)
        )

    objects = []
    for number in image.objects.label:
        code = rle.encode(np.asfortranarray(labels == number, np.uint8))
        objects.append(
            {
                'bbox': rle.toBbox(code).tolist(),
                'area': int(rle.area(code)),
                'segmentation': {**code, 'counts': code['counts'].decode()},
                'iscrowd': 0,
            }
        )
    height, width = labels.shape
    return dict(
        file_name=photo.name,
        width=width,
        height=height,
        annotations=objects,
        stretched=not fits,
    )


def write_coco(
    path: str | Path, rows: Sequence[Reviewed], overwrite: bool = False
) -> None:
    """Write images and objects; rows have the extra ``'coco'`` of encode_image.

    ``id`` of an image is its place in the order of the review. ``score`` of an object
    is the probability that it is real. What cannot be told is left out. Boxes of
    suspects are first and last row and column of the map. An image is ``stretched`` if
    its photograph has another aspect than its map.
    """
    stretched = [row.name for row in rows if row.extras['coco']['stretched']]
    if stretched:
        warnings.warn(
            f'{len(stretched)} photographs have another aspect than their map, and '
            f'outlines are stretched to them: {display_name(some(stretched))}',
            stacklevel=2,
        )
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for place, row in enumerate(rows, 1):
        image = dict(row.extras['coco'])
        encoded = image.pop('annotations')
        attributes: dict[str, Any] = {
            'rank': place,
            'expected_dice': row.estimate.dice,
            'dice_low': row.estimate.dice_low,
            'out_of_range': row.estimate.out_of_range,
        }
        if 'suspects' in row.extras:
            attributes['suspects'] = [
                {
                    'kind': suspect.kind,
                    'score': suspect.score,
                    'box': suspect.box.tolist(),
                }
                for suspect in row.extras['suspects']
                if suspect.score > 0
            ]
        images.append({'id': place, **image, 'attributes': _told(attributes)})

        table = row.objects
        for k, outline in enumerate(encoded):
            annotation = {
                'id': len(annotations) + 1,
                'image_id': place,
                'category_id': CATEGORY['id'],
                **outline,
                'score': float(table.probability[k]),
            }
            attributes = {'object': int(table.label[k]), 'mean_p': float(table.mean[k])}
            annotations.append({**_told(annotation), 'attributes': _told(attributes)})

    content = dict(images=images, annotations=annotations, categories=[CATEGORY])
    write_output(path, json.dumps(content), overwrite)


def _told(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in values.items()
        if not (isinstance(value, float) and np.isnan(value))
    }
