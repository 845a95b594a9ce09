"""Maps of a network that nobody here trained, in the layout of train.py.

    python benchmarks/published.py --data ../shared/data/ccp_person_320 \
        --network general --out RUNS/published/general/shipped/seed0
    python benchmarks/evaluate.py RUNS --regime published --reference shipped --json ...

MediaPipe's selfie segmentation (Apache-2.0) comes with its package on the Python index;
`general` and `landscape` are its two networks. They need an environment of their own:
``pip install "mediapipe==0.10.14"``. Weights and maps stay out of the repository.
"""

import argparse
import json
import time
from pathlib import Path

import mediapipe
import numpy as np
from train import load

SIZE = 256  # of the input of `general`; `landscape` scales it once more, to 144 x 256
NETWORKS = {'general': 0, 'landscape': 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--ood', type=Path)
    parser.add_argument('--network', choices=sorted(NETWORKS), default='general')
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    solution = mediapipe.solutions.selfie_segmentation
    network = solution.SelfieSegmentation(model_selection=NETWORKS[args.network])
    folders = {'val': args.data / 'val', 'test': args.data / 'test'}
    if args.ood:
        folders['ood'] = args.ood / 'test'
    arrays = {}
    for name, folder in folders.items():
        part = load(folder, SIZE)
        images = part['images'].permute(0, 2, 3, 1).contiguous().numpy()
        prob = np.stack([network.process(image).segmentation_mask for image in images])
        prob = prob.astype(np.float64).clip(1e-7, 1 - 1e-7)
        arrays[f'{name}_logits'] = np.log(prob / (1 - prob)).astype(np.float32)
        arrays[f'{name}_labels'] = part['labels'].numpy()
        arrays[f'{name}_names'] = np.array(part['names'])
    args.out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(args.out / 'maps.npz', **arrays)
    options = {key: str(value) for key, value in vars(args).items()}
    record = dict(options=options, history=[], date=time.strftime('%Y-%m-%d %H:%M'))
    (args.out / 'run.json').write_text(json.dumps(record) + '\n')


if __name__ == '__main__':
    main()
