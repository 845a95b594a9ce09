"""Give a review to Label Studio: tasks in the order of the review, objects as brushes.

    mmaslp review MAPS --calibrator FILE --images PHOTOS --coco review.json
    python examples/review_label_studio.py review.json PHOTOS --url URL --token TOKEN

The score of a task is the expected Dice of its image: order the tasks by it, or let the
project sample uncertain ones first. Prints the tasks as the server gives them back.
Needs ``pip install label-studio`` and a server that runs, with its token.
"""

import argparse
import base64
import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
from label_studio_sdk.converter.brush import mask2rle
from pycocotools import mask as rle

CONFIG = """<View>
<Image name="image" value="$image"/>
<BrushLabels name="objects" toName="image"><Label value="object"/></BrushLabels>
</View>"""


def tasks_of(coco: str, photos: str) -> list[dict[str, Any]]:
    """A task for each image, the most doubtful first."""
    review = json.loads(Path(coco).read_text())
    tasks = []
    for image in review['images']:
        data = base64.b64encode((Path(photos) / image['file_name']).read_bytes())
        regions = []
        for each in review['annotations']:
            if each['image_id'] != image['id']:
                continue
            mask = rle.decode(each['segmentation']).astype(np.uint8) * 255
            regions.append(
                {
                    'id': str(each['id']),
                    'type': 'brushlabels',
                    'from_name': 'objects',
                    'to_name': 'image',
                    'original_width': image['width'],
                    'original_height': image['height'],
                    'score': each.get('score'),
                    'value': {
                        'format': 'rle',
                        'rle': mask2rle(mask),
                        'brushlabels': ['object'],
                    },
                }
            )
        prediction = {
            'model_version': 'mmaslp review',
            'score': image['attributes'].get('expected_dice'),
            'result': regions,
        }
        source = f'data:image;base64,{data.decode()}'
        name = {'image': source, 'name': image['file_name']}
        tasks.append({'data': name, 'predictions': [prediction]})
    return tasks


def main() -> None:
    """Make a project, import the tasks, print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('coco')
    parser.add_argument('photos')
    parser.add_argument('--url', required=True)
    parser.add_argument('--token', required=True)
    args = parser.parse_args()

    def call(path: str, content: Any = None) -> Any:
        head = {'Authorization': f'Token {args.token}'}
        head['Content-Type'] = 'application/json'
        data = None if content is None else json.dumps(content).encode()
        with urlopen(Request(args.url + path, data, head)) as answer:
            return json.load(answer)

    # Label Studio shows the task of the lowest score first.
    options = {'sampling': 'Uncertainty sampling', 'show_collab_predictions': True}
    project = call(
        '/api/projects', {'title': 'review', 'label_config': CONFIG, **options}
    )
    number = project['id']
    call(f'/api/projects/{number}/import', tasks_of(args.coco, args.photos))
    listed = call(f'/api/tasks?project={number}&fields=all&page_size=10000')
    for task in listed['tasks']:
        score = task['predictions'][0]['score']
        print(f'{task["data"]["name"]}\t{score}')


if __name__ == '__main__':
    main()
