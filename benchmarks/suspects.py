r"""Find planted errors of masks, and compare with cleanlab's order.

    python benchmarks/suspects.py --data DATA/SET ... --out RUNS/suspects
    python benchmarks/suspects.py --folders NAME=FOLDER ... --out RUNS/suspects
    python benchmarks/suspects.py --runs RUNS/suspects \\
        --json benchmarks/results/suspects.json

The first line trains, the second takes maps of published networks, where ``FOLDER``
holds ``{val,test}/{maps,masks}``, the third measures. Of 300 images of ``SET/train`` a
tenth get an error: an object is removed, one of another image is added, or the border
of one is shifted by 3 px (grown, shrunk or moved). Small U-Nets at 64 px learn from one
half of these masks, errors included, and give the maps of the other half: no map is of
an image that its network was trained on. Both sides see the same maps and masks.

Rival: ``cleanlab.segmentation.rank`` (softmin), which orders images by their pixels
(Lad and Mueller, https://arxiv.org/abs/2307.05080); needs ``pip install cleanlab``.
Average precision is that of the order of images; ours is by the largest score of an
image. Memory is the peak beyond the interpreter, of 300 maps of 512 px, each from its
file.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from networks import UNet
from PIL import Image
from scipy import ndimage
from sklearn.metrics import average_precision_score
from train import load, logits_of, normalise

IMAGES = 300
SEEDS = 3
SIZE = 64
CHANNELS = 8
EPOCHS = 20
BATCH = 16
SHIFT = 3  # pixels
KINDS = ('none', 'removed', 'added', 'shifted')
SMALLEST = 12  # pixels of an object that is removed, added or shifted
TRIES = 200


def objects_of(mask: np.ndarray) -> list[np.ndarray]:
    """The objects of a mask ``(H, W)`` that are large enough."""
    labels, number = ndimage.label(mask)
    objects = [labels == label for label in range(1, number + 1)]
    return [each for each in objects if each.sum() >= SMALLEST]


def removed(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Remove an object; None if the mask has none."""
    objects = objects_of(mask)
    return mask & ~objects[rng.integers(len(objects))] if objects else None


def added(
    mask: np.ndarray, others: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """Add an object of another image where nothing is."""
    near = ndimage.binary_dilation(mask, iterations=2)
    for _ in range(TRIES):
        objects = objects_of(others[rng.integers(len(others))])
        if not objects:
            continue
        object_ = objects[rng.integers(len(objects))]
        moved = np.roll(object_, tuple(rng.integers(0, SIZE, 2)), (0, 1))
        touches_edge = moved[0].any() or moved[:, 0].any()
        if not touches_edge and not (moved & near).any():
            return mask | moved
    return None


def shifted(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Grow, shrink or move an object by 3 px."""
    objects = objects_of(mask)
    if not objects:
        return None
    object_ = objects[rng.integers(len(objects))]
    grown = ndimage.binary_dilation(object_, iterations=SHIFT)
    shrunk = ndimage.binary_erosion(object_, iterations=SHIFT)
    angle = rng.uniform(0, 2 * np.pi)
    way = SHIFT * np.array([np.sin(angle), np.cos(angle)])
    moved = ndimage.shift(object_.astype(float), way, order=0) > 0.5
    choices = [grown, moved, *([shrunk] if shrunk.any() else [])]
    return (mask & ~object_) | choices[rng.integers(len(choices))]


def plant(masks: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks ``(N, H, W)`` of which a tenth have an error, and its kind ``(N,)``."""
    rng = np.random.default_rng(seed)
    found = masks.copy()
    kinds = np.zeros(len(masks), int)
    wanted = len(masks) // 10
    for row in rng.permutation(len(masks)):
        kind = 1 + np.count_nonzero(kinds) % 3
        mask = masks[row]
        changed = {
            'removed': lambda mask=mask: removed(mask, rng),
            'added': lambda mask=mask: added(mask, masks, rng),
            'shifted': lambda mask=mask: shifted(mask, rng),
        }[KINDS[kind]]()
        if changed is not None and (changed != mask).any():
            found[row] = changed
            kinds[row] = kind
        if np.count_nonzero(kinds) == wanted:
            break
    return found, kinds


def trained(images: torch.Tensor, labels: torch.Tensor, seed: int) -> UNet:
    """A small U-Net that learned from these images."""
    torch.manual_seed(seed)
    network = UNet(CHANNELS).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    steps = EPOCHS * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, steps, 0.9)
    for _ in range(EPOCHS):
        network.train()
        order = torch.randperm(len(images))
        for chosen in order[: len(images) // BATCH * BATCH].split(BATCH):
            batch, target = images[chosen], labels[chosen].float()
            flip = torch.rand(len(chosen)) < 0.5
            batch[flip], target[flip] = batch[flip].flip(-1), target[flip].flip(-1)
            loss = F.binary_cross_entropy_with_logits(network(normalise(batch)), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network


def train(data: Path, seed: int) -> dict[str, Any]:
    """Plant errors, train on each half, give the maps of the other one."""
    part = load(data / 'train', SIZE, IMAGES)
    masks, kinds = plant(part['labels'].numpy() > 0, seed)
    labels = torch.from_numpy(masks).byte()
    halves = np.random.default_rng(seed).permutation(len(masks)) % 2
    prob = np.zeros(masks.shape, np.float32)
    for half in (0, 1):
        rest = torch.from_numpy(halves != half)
        network = trained(part['images'][rest], labels[rest], seed)
        prob[halves == half] = torch.sigmoid(
            logits_of(network, part['images'][~rest])
        ).numpy()
    return dict(prob=prob, masks=masks, kinds=kinds, names=np.array(part['names']))


def published(folder: Path, seed: int) -> dict[str, Any]:
    """Plant errors into the masks of a network's maps, at 64 px."""
    prob, masks = [], []
    for file in sorted(folder.glob('*/maps/*.png')):
        grey = np.asarray(Image.open(file), np.float32) / 65535
        small = Image.fromarray(grey).resize((SIZE, SIZE), Image.Resampling.BOX)
        prob.append(np.asarray(small))
        mask = Image.open(file.parents[1] / 'masks' / file.name).convert('L')
        mask = mask.resize((SIZE, SIZE), Image.Resampling.BOX)
        masks.append(np.asarray(mask) > 127)
    found, kinds = plant(np.stack(masks), seed)
    return dict(prob=np.stack(prob), masks=found, kinds=kinds)


def ours(prob: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """``(N,)`` the largest score of each image; the masks fit the calibrator too."""
    from mmaslp import fit_calibrator
    from mmaslp.workflows.review import ReviewOptions, review_image
    from mmaslp.workflows.suspects import find_suspects

    labels = masks.astype(np.uint8)
    calibrator = fit_calibrator(prob, labels)
    scores = np.zeros(len(prob))
    options = ReviewOptions(extras={'suspects': find_suspects})
    for row, (one, label) in enumerate(zip(prob, labels)):
        image = review_image(calibrator, '', one, label, options=options)
        found = image.extras['suspects']
        scores[row] = found[0].score if found else -np.inf
    return np.nan_to_num(scores, neginf=-99.0)


def cleanlab_scores(prob: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """``(N,)`` the lower the quality of a label, the larger."""
    from cleanlab.segmentation.rank import get_label_quality_scores

    both = np.stack([1 - prob, prob], 1)
    quality, _ = get_label_quality_scores(
        masks.astype(int), both, method='softmin', verbose=False
    )
    return -quality


def measure(path: Path) -> dict[str, Any]:
    """Average precision of both orders, of all errors and of each kind."""
    held = np.load(path)
    prob, masks, kinds = (held[key] for key in ('prob', 'masks', 'kinds'))
    row: dict[str, Any] = {'images': len(prob), 'errors': int((kinds > 0).sum())}
    for name, order in (('ours', ours), ('cleanlab', cleanlab_scores)):
        scores = order(prob, masks)
        row[name] = float(average_precision_score(kinds > 0, scores))
        for kind in (1, 2, 3):
            rows = (kinds == 0) | (kinds == kind)
            value = average_precision_score(kinds[rows] > 0, scores[rows])
            row[f'{name} {KINDS[kind]}'] = float(value)
    return row


def write_large(path: Path, folder: Path) -> None:
    """Maps and masks of a run at 512 px, and a calibrator."""
    from mmaslp import fit_calibrator
    from mmaslp.files.prob_maps import write_prob_map

    held = np.load(path)
    fit_calibrator(held['prob'], held['masks'].astype(np.uint8)).save(folder / 'c.json')
    for kind in ('maps', 'masks'):
        (folder / kind).mkdir()
    for row, (prob, mask) in enumerate(zip(held['prob'], held['masks'])):
        prob, mask = (np.kron(each, np.ones((8, 8))) for each in (prob, mask))
        write_prob_map(folder / 'maps' / f'{row:03}.png', prob)
        Image.fromarray(mask.astype(np.uint8) * 255).save(
            folder / 'masks' / f'{row:03}.png'
        )


def large_ours(folder: Path) -> Callable[[], Any]:
    """Read a folder map by map, and find suspects."""
    from mmaslp.calibration.calibrator import Calibrator
    from mmaslp.workflows.review import ReviewOptions, review_maps
    from mmaslp.workflows.suspects import find_suspects

    calibrator = Calibrator.load(folder / 'c.json')
    options = ReviewOptions(extras={'suspects': find_suspects})
    return lambda: review_maps(
        calibrator, folder / 'maps', folder / 'masks', options=options
    )


def large_cleanlab(folder: Path) -> Callable[[], Any]:
    """Read a folder whole, as cleanlab needs it."""
    import cleanlab.segmentation.rank  # noqa: F401

    def job() -> None:
        files = sorted((folder / 'maps').iterdir())
        size = Image.open(files[0]).size[::-1]
        prob = np.zeros((len(files), *size), np.float32)
        masks = np.zeros(prob.shape, bool)
        for row, file in enumerate(files):
            prob[row] = np.asarray(Image.open(file), np.float32) / 65535
            masks[row] = np.asarray(Image.open(folder / 'masks' / file.name)) > 0
        cleanlab_scores(prob, masks)

    return job


def peak(make: Callable[[Path], Callable[[], Any]], folder: Path, queue: Any) -> None:
    """Put MB of a job beyond what is there once all is imported."""
    torch.set_num_threads(1)
    job = make(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    job()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    queue.put((after - before) / 1024)


def memory(path: Path) -> dict[str, float]:
    """MB of both, each in a process of its own."""
    context = multiprocessing.get_context('spawn')
    found = {}
    with tempfile.TemporaryDirectory() as name:
        write_large(path, Path(name))
        for key, make in (('ours', large_ours), ('cleanlab', large_cleanlab)):
            queue = context.Queue()
            process = context.Process(target=peak, args=(make, Path(name), queue))
            process.start()
            found[key] = queue.get()
            process.join()
    return found


def report(folder: Path, path: Path) -> None:
    """Measure all runs of a folder, print and write them."""
    files = sorted(folder.glob('*.npz'))
    rows = {file.stem: measure(file) for file in files}
    for name, row in rows.items():
        print(f'{name:<40} ours {row["ours"]:.3f} cleanlab {row["cleanlab"]:.3f}')
    ratios = [row['ours'] / row['cleanlab'] for row in rows.values()]
    mb = memory(files[0])
    print(f'mean ratio {np.mean(ratios):.2f}; MB {mb}')
    content = dict(runs=rows, ratio=float(np.mean(ratios)), megabytes=mb)
    path.write_text(json.dumps(content, indent=1))


def main() -> None:
    """Train, or measure what was trained."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, nargs='+', default=[])
    parser.add_argument('--folders', nargs='+', default=[], metavar='NAME=FOLDER')
    parser.add_argument('--out', type=Path)
    parser.add_argument('--runs', type=Path)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    jobs = [(data.name, train, data) for data in args.data]
    for each in args.folders:
        name, _, folder = each.partition('=')
        jobs.append((name, published, Path(folder)))

    for seed in range(SEEDS):
        for name, make, source in jobs:
            path = args.out / f'{name}-{seed}.npz'
            if not path.is_file():
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez_compressed(path, **make(source, seed))
    if args.runs:
        report(args.runs, args.json)


if __name__ == '__main__':
    main()
