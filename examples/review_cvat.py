"""Give a review to CVAT, by datumaro: masks with their score as an attribute.

    mmaslp review MAPS --calibrator FILE --images PHOTOS --coco review.json
    python examples/review_cvat.py review.json PHOTOS --out for_cvat

CVAT reads the folder as "Datumaro 1.0", which keeps masks and attributes; define the
attributes ``score`` and ``object`` at the label, then CVAT filters by them. Prints
image and score of each mask as datumaro reads it back. Needs ``pip install datumaro``.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import datumaro


def read(coco: str, photos: str, folder: Path) -> datumaro.Dataset:
    """Lay the files out as datumaro expects COCO, and read them."""
    (folder / 'annotations').mkdir()
    shutil.copy(coco, folder / 'annotations' / 'instances_default.json')
    shutil.copytree(photos, folder / 'images' / 'default')
    return datumaro.Dataset.import_from(str(folder), 'coco_instances')


def main() -> None:
    """Write the folder, read it back, print what is in it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('coco')
    parser.add_argument('photos')
    parser.add_argument('--out', required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = read(args.coco, args.photos, Path(folder))
        # Of COCO datumaro makes a box for each object too.
        dataset.filter('/item/annotation[type="mask"]', filter_annotations=True)
        dataset.export(args.out, 'datumaro', save_media=True)

    for item in datumaro.Dataset.import_from(args.out, 'datumaro'):
        for mask in item.annotations:
            score = mask.attributes.get('score', '-')
            print(f'{item.id}\t{score}\t{int(mask.image.sum())}')


if __name__ == '__main__':
    main()
