"""Look at a review in FiftyOne: images by expected Dice, objects by score.

    mmaslp review MAPS --calibrator FILE --images PHOTOS --coco review.json
    python examples/review_fiftyone.py review.json PHOTOS --below 0.5 --launch

Makes the dataset ``review``, prints its images with the most doubtful first, and how
many objects each has below a score. Needs ``pip install fiftyone``.
"""

import argparse
import json
from pathlib import Path

import fiftyone as fo
from fiftyone import ViewField


def load(coco: str, photos: str, name: str) -> fo.Dataset:
    """Make a dataset with the objects, and what is expected of each image."""
    dataset = fo.Dataset.from_dir(
        dataset_type=fo.types.COCODetectionDataset,
        data_path=photos,
        labels_path=coco,
        label_types='segmentations',
        label_field='objects',
        name=name,
        overwrite=True,
    )
    images = json.loads(Path(coco).read_text())['images']
    for field in ('rank', 'expected_dice', 'dice_low'):
        values = {
            str((Path(photos) / image['file_name']).absolute()): image[
                'attributes'
            ].get(field)
            for image in images
        }
        dataset.set_values(field, values, key_field='filepath')
    return dataset


def main() -> None:
    """Print the order of the review and the doubtful objects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('coco')
    parser.add_argument('photos')
    parser.add_argument('--below', type=float, default=0.5)
    parser.add_argument('--name', default='review')
    parser.add_argument('--launch', action='store_true')
    args = parser.parse_args()

    dataset = load(args.coco, args.photos, args.name)
    # The COCO importer keeps the score as the confidence of an object.
    doubtful = ViewField('confidence') < args.below
    view = dataset.sort_by('rank').filter_labels(
        'objects', doubtful, only_matches=False
    )
    for sample in view:
        number = len(sample.objects.detections) if sample.objects else 0
        print(f'{Path(sample.filepath).name}\t{sample.expected_dice}\t{number}')
    if args.launch:
        fo.launch_app(view=view).wait()


if __name__ == '__main__':
    main()
