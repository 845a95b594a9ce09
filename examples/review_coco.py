"""Read a review with pycocotools: the least probable objects, as masks.

    mmaslp review MAPS --calibrator FILE --images PHOTOS --coco review.json
    python examples/review_coco.py review.json --below 0.5

Prints image, object, score and area of each object below a score, and the sum of their
pixels as decoded from the file. Needs ``pip install pycocotools``.
"""

import argparse

from pycocotools.coco import COCO


def main() -> None:
    """Print the objects that are probably not there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('coco')
    parser.add_argument('--below', type=float, default=0.5)
    args = parser.parse_args()
    review = COCO(args.coco)

    pixels = 0
    for annotation in review.loadAnns(review.getAnnIds()):
        # An object of which nothing can be told has no score.
        if annotation.get('score', 1.0) < args.below:
            image = review.imgs[annotation['image_id']]
            pixels += int(review.annToMask(annotation).sum())
            number = annotation['attributes']['object']
            score, area = annotation['score'], annotation['area']
            print(f'{image["file_name"]}\t{number}\t{score:.6f}\t{area}')
    print(f'{pixels} pixels')


if __name__ == '__main__':
    main()
