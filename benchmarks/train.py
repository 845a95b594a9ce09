"""Train one network in plain PyTorch and keep its maps.

    python benchmarks/train.py --data DATA --method bce --out RUNS/few/SET/bce/seed0

``DATA`` holds ``{train,val,test}/{images,masks}``. A run that was killed goes on; one
that is finished ends at once. ``OUT/maps.npz`` holds ``<set>_logits`` (float32),
``<set>_labels`` (uint8) and ``<set>_names`` of val, test, ood (textures), other (images
of another set), windows (object-free windows of the test images), val_windows, and
shift (corrupted test images), at the size of the network; ``OUT/run.json`` holds the
options, the levels and the history. evaluate.py reads both, so that another calibrator
needs no training.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from corruption import corrupted
from networks import new_network
from PIL import Image
from rival_losses import RIVALS
from torch import Tensor, nn

from mmaslp.augmentation.windows import find_window

# Size of the images, learning rate and default number of epochs of each network.
NETWORKS = {'unet': (64, 3e-3, 30), 'pretrained': (192, 1e-3, 12)}
METHODS = ('bce', 'image_band', 'band', 'mc', 'me', 'fb', 'slp', 'smoothing', *RIVALS)
BATCH = 16
MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def load(folder: Path, size: int, first: int | None = None) -> dict[str, Any]:
    """Images ``(N, 3, S, S)``, uint8, labels ``(N, S, S)``, uint8, and names."""
    files = sorted((folder / 'images').iterdir())[:first]
    images, labels = [], []
    for file in files:
        image = Image.open(file).convert('RGB').resize((size, size), Image.BILINEAR)
        mask = Image.open(folder / 'masks' / f'{file.stem}.png').convert('L')
        mask = mask.resize((size, size), Image.NEAREST)
        images.append(np.asarray(image))
        labels.append(np.asarray(mask) > 127)
    return dict(
        images=torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(),
        labels=torch.from_numpy(np.stack(labels)).byte(),
        names=[file.stem for file in files],
    )


def load_full(folder: Path, first: int | None = None) -> dict[str, Any]:
    """The same images at the size they came in, as lists."""
    images = []
    labels = []
    for file in sorted((folder / 'images').iterdir())[:first]:
        image = np.asarray(Image.open(file).convert('RGB'))
        mask = Image.open(folder / 'masks' / f'{file.stem}.png').convert('L')
        images.append(torch.from_numpy(image.copy()).permute(2, 0, 1))
        labels.append(torch.from_numpy(np.asarray(mask) > 127).byte())
    return dict(images=images, labels=labels)


def spoil_masks(labels: Tensor, share: float) -> None:
    """Shift, erode or exchange the masks ``(N, S, S)`` of a share of the images."""
    rng = np.random.default_rng(0)
    original = labels.clone()
    size = labels.shape[-1]
    rows = rng.permutation(len(labels))[: round(share * len(labels))]
    for number, row in enumerate(rows.tolist()):
        if number % 3 == 0:
            labels[row] = torch.roll(original[row], (size // 8, size // 8), (0, 1))
        elif number % 3 == 1:
            background = 1 - original[row][None, None].float()
            labels[row] = (1 - F.max_pool2d(background, 13, 1, 6)[0, 0]).byte()
        else:
            labels[row] = original[int(rng.integers(len(labels)))]


def normalise(images: Tensor) -> Tensor:
    """To the mean and deviation of ImageNet, in the layout that a CPU prefers."""
    scaled = (images.float() - MEAN) / STD
    return scaled.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def logits_of(network: nn.Module, images: Tensor) -> Tensor:
    """Logits ``(N, H, W)`` of all images."""
    network.eval()
    return torch.cat([network(normalise(part)) for part in images.split(32)])


def patches(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """MONAI's patches of 3/4 of the side, an eighth of them around background."""
    from monai.transforms import RandCropByPosNegLabeld

    size = images.shape[-1]
    crop = RandCropByPosNegLabeld(
        ['image', 'label'], 'label', (size * 3 // 4,) * 2, pos=7, neg=1, num_samples=1
    )
    crop.set_random_state(int(torch.randint(2**31, ())))
    found = [
        crop({'image': image, 'label': label[None]})[0]
        for image, label in zip(images, labels)
    ]
    parts = [torch.stack([one[key].as_tensor() for one in found]) for key in found[0]]
    parts = [part.float() for part in parts[:2]]
    image = nn.functional.interpolate(parts[0], (size, size), mode='bilinear')
    label = nn.functional.interpolate(parts[1], (size, size), mode='nearest')
    return image.round().to(images.dtype), label[:, 0].to(labels.dtype)


def cut(image: Tensor, window: Any, size: int) -> Tensor:
    """A window of an image ``(3, S, S)``, uint8, at the size of the network."""
    rows, columns = window
    part = image[None, :, rows, columns].float()
    part = F.interpolate(part, (size, size), mode='bilinear', antialias=True)
    return part[0].round().clamp(0, 255).byte()


def spoiled(image: Tensor) -> Tensor:
    """An image ``(3, S, S)``, uint8, strongly blurred, or pale."""
    pixels = image.float()
    strength = float(torch.rand(()))
    if torch.randint(2, ()):
        size = image.shape[-1]
        small = max(1, round(size / (1.5 + 4.5 * strength)))
        pixels = F.interpolate(pixels[None], (small, small), mode='area')
        pixels = F.interpolate(pixels, (size, size), mode='bilinear')[0]
    else:
        target = 255 * float(torch.rand(()))
        mean = pixels.mean((1, 2), keepdim=True)
        pixels = (mean + target) / 2 + (pixels - mean) * (0.08 + 0.5 * strength)
    return pixels.round().clamp(0, 255).byte()


def disturbed(image: Tensor) -> Tensor:
    """An image ``(3, S, S)``, uint8, slightly blurred, noisy, darker or paler."""
    kind = int(torch.randint(4, ()))
    strength = float(torch.rand(()))
    pixels = image.float()

    if kind == 0:
        size = image.shape[-1]
        small = max(1, round(size / (1.25 + strength)))
        pixels = F.interpolate(pixels[None], (small, small), mode='area')
        pixels = F.interpolate(pixels, (size, size), mode='bilinear')[0]
    elif kind == 1:
        pixels = pixels + (4 + 12 * strength) * torch.randn(pixels.shape)
    elif kind == 2:
        pixels = pixels * (0.7 + 0.6 * strength)
    else:
        mean = pixels.mean((1, 2), keepdim=True)
        pixels = mean + (pixels - mean) * (0.5 + 0.7 * strength)
    return pixels.round().clamp(0, 255).byte()


def object_free(part: dict[str, Any], size: int, smallest: float) -> dict[str, Any]:
    """A window of every image that has room for one, always the same."""
    rng = np.random.default_rng(0)
    images, names = [], []
    for image, label, name in zip(part['images'], part['labels'], part['names']):
        window = find_window(label.numpy(), smallest, rng)
        if window is not None:
            images.append(cut(image, window, size))
            names.append(name)
    labels = torch.zeros(len(images), size, size, dtype=torch.uint8)
    return dict(images=torch.stack(images), labels=labels, names=names)


def make_levels(
    method: str, beta: str, epochs: int, names: list[str], steps: int, **options: float
) -> Any:
    """The levels of a method, or None."""
    from mmaslp import BandLevels, ImageBandLevels, ImageLevels
    from mmaslp.levels.rules import make_rule

    if method == 'band':
        return BandLevels(warmup=epochs // 3)
    if method == 'image_band':
        return ImageBandLevels(warmup=epochs // 3)
    if method in ('mc', 'me', 'fb'):
        rule = make_rule(method.upper(), **options)
        return ImageLevels(names, beta, rule, warmup=5 * steps)
    return None


def make_loss(method: str, levels: Any, beta: str, alpha: float) -> Any:
    """The function of logits and labels that a method minimises."""
    if method in RIVALS:
        return RIVALS[method]()
    if method == 'bce':
        return F.binary_cross_entropy_with_logits
    from mmaslp import SelfCalibratingBCE

    if method == 'slp':
        return SelfCalibratingBCE(beta=beta, alpha=alpha)
    if method == 'smoothing':
        return SelfCalibratingBCE(eps=2 * alpha)
    return SelfCalibratingBCE(levels)


def observe(levels: Any, logits: Tensor, labels: Tensor) -> None:
    """Give a validation to the levels."""
    from mmaslp import BandLevels, BandTable

    table = BandTable()
    table.update(torch.sigmoid(logits), labels)
    if isinstance(levels, BandLevels):
        levels.observe(table)
    else:
        figures = table.compute()
        levels.observe(figures['acc'], figures['conf'])


def figures(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """What the history keeps of a validation."""
    found, true = logits > 0, labels > 0
    union = (found | true).sum().clamp(min=1)
    return dict(
        iou=round(float((found & true).sum() / union), 5),
        accuracy=round(float((found == true).double().mean()), 5),
        nll=round(float(F.binary_cross_entropy_with_logits(logits, labels.float())), 5),
    )


class Run:
    """One training run that can be killed and goes on."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.size, rate, epochs = NETWORKS[args.network]
        self.epochs = args.epochs or epochs
        held = ('test', 'val') if args.swap else ('val', 'test')
        self.sets = {
            name: load(args.data / folder, self.size)
            for name, folder in zip(('val', 'test'), held)
        }
        self.train = load(args.data / 'train', self.size, args.train_images)
        if args.wrong:
            spoil_masks(self.train['labels'], args.wrong)
        if args.full:
            self.full = load_full(args.data / 'train', args.train_images)
        torch.manual_seed(args.seed)
        self.network = new_network(args.network)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=rate)
        self.steps = len(self.train['images']) // BATCH
        self.levels = make_levels(
            *(args.method, args.beta, self.epochs, self.train['names'], self.steps),
            **({} if args.eta is None else dict(eta=args.eta)),
        )
        self.loss = make_loss(args.method, self.levels, args.beta, args.alpha)
        self.schedule = torch.optim.lr_scheduler.PolynomialLR(
            self.optimizer, self.epochs * self.steps, 0.9
        )
        self.history: list[dict[str, Any]] = []
        self.done, self.seconds = 0, 0.0

    @property
    def learns(self) -> bool:
        """Whether the method learns from validations."""
        return self.levels is not None or hasattr(self.loss, 'observe')

    @property
    def checkpoint(self) -> Path:
        """File of the state."""
        return self.args.out / 'checkpoint.pth'

    def resume(self) -> None:
        """Take over the state of a killed run, if there is one."""
        if not self.checkpoint.is_file():
            return
        state = torch.load(self.checkpoint, weights_only=True)
        for name in ('network', 'optimizer', 'schedule'):
            getattr(self, name).load_state_dict(state[name])
        if self.levels is not None:
            self.levels.load_state_dict(state['levels'])
        if isinstance(self.loss, nn.Module):
            self.loss.load_state_dict(state['loss'])
        self.history, self.seconds = state['history'], state['seconds']
        self.done = state['done']
        torch.set_rng_state(state['rng'])

    def save(self) -> None:
        """Write the state; a run that is killed meanwhile keeps the one before."""
        levels = None if self.levels is None else self.levels.state_dict()
        state = dict(
            network=self.network.state_dict(),
            optimizer=self.optimizer.state_dict(),
            schedule=self.schedule.state_dict(),
            levels=levels,
            loss=self.loss.state_dict() if isinstance(self.loss, nn.Module) else None,
            history=self.history,
            done=self.done,
            seconds=self.seconds,
            rng=torch.get_rng_state(),
        )
        part = self.checkpoint.with_suffix('.part')
        torch.save(state, part)
        os.replace(part, self.checkpoint)

    def fit(self) -> None:
        """Train, validate, keep the state about twice a minute."""
        self.resume()
        saved = time.monotonic()
        while self.done < self.epochs:
            start = time.monotonic()
            self.epoch()
            self.done += 1
            if self.learns or self.done % 10 == 0:
                self.validate()
            self.seconds += time.monotonic() - start
            if time.monotonic() - saved > 30:
                self.save()
                saved = time.monotonic()

    def epoch(self) -> None:
        """Train on every image once."""
        self.network.train()
        order = torch.randperm(len(self.train['images']))
        by_image = hasattr(self.levels, 'sample')
        for step, chosen in enumerate(order[: self.steps * BATCH].split(BATCH)):
            images, labels = self.batch(chosen)
            self.optimizer.zero_grad()
            inputs = [self.network(normalise(images)), labels.float()]
            if by_image:
                names = [self.train['names'][i] for i in chosen.tolist()]
                inputs.append(self.levels.sample(names, self.done * self.steps + step))
            self.loss(*inputs).backward()
            if by_image:
                self.levels.update(inputs[-1])
            self.optimizer.step()
            self.schedule.step()

    def batch(self, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Images and labels, some flipped, some replaced by object-free windows."""
        images, labels = (self.train[name][chosen] for name in ('images', 'labels'))
        is_window = torch.zeros(len(chosen), dtype=torch.bool)
        flip = torch.rand(len(chosen)) < 0.5
        images[flip], labels[flip] = images[flip].flip(-1), labels[flip].flip(-1)
        if self.args.patches:
            images, labels = patches(images, labels)
        if self.args.replace:
            started = self.done >= self.args.begin * self.epochs
            is_window = (torch.rand(len(chosen)) < self.args.replace) & started
            labels = labels.float()
            for row in is_window.nonzero()[:, 0]:
                images[row], labels[row] = self.window(), self.args.doubt
        if self.args.disturb:
            change = spoiled if self.args.strong else disturbed
            rows = torch.rand(len(chosen)) < self.args.disturb
            if self.args.disturb_objects:
                rows &= ~is_window
            for row in rows.nonzero()[:, 0]:
                images[row] = change(images[row])
        if self.args.add:
            windows = torch.stack([self.window() for _ in range(self.args.add)])
            images = torch.cat([images, windows])
            labels = torch.cat(
                [labels, labels.new_zeros(len(windows), *labels[0].shape)]
            )
        return images, labels

    def window(self) -> Tensor:
        """An object-free window of any training image that has room for one."""
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        while True:
            row = int(rng.integers(len(self.train['images'])))
            source = self.full if self.args.full else self.train
            window = find_window(source['labels'][row].numpy(), self.args.smallest, rng)
            if window is not None:
                return cut(source['images'][row], window, self.size)

    def validate(self) -> None:
        """Keep figures of the validation, which move the levels, if there are any."""
        val = self.sets['val']
        logits = logits_of(self.network, val['images'])
        line: dict[str, Any] = dict(epoch=self.done)
        line.update(figures(logits, val['labels']))
        if self.levels is not None:
            observe(self.levels, logits, val['labels'])
            by_image = hasattr(self.levels, 'sample')
            levels = [self.levels.alpha.mean()] if by_image else self.levels.levels
            line['levels'] = [round(float(level), 5) for level in levels]
            line['reason'] = getattr(self.levels, 'reason', None)
        elif self.learns:
            self.loss.observe(logits, val['labels'])
        self.history.append(line)

    def finish(self) -> None:
        """Write maps and record; the record last, because it says that all is done."""
        if self.args.ood:
            self.sets['ood'] = load(self.args.ood / 'test', self.size)
        if self.args.other:
            self.sets['other'] = load(self.args.other / 'test', self.size)
            self.sets['other']['labels'].zero_()
            for name in ('val', 'test'):
                windows = object_free(self.sets[name], self.size, self.args.smallest)
                self.sets['windows' if name == 'test' else 'val_windows'] = windows
        if self.args.shift:
            for name, source in (('shift', 'test'), ('val_shift', 'val')):
                part = self.sets[source]
                images = corrupted(part['images'], part['names'])
                self.sets[name] = dict(part, images=images)
        arrays: dict[str, np.ndarray] = {}
        for name, part in self.sets.items():
            arrays[f'{name}_logits'] = logits_of(self.network, part['images']).numpy()
            arrays[f'{name}_labels'] = part['labels'].numpy()
            arrays[f'{name}_names'] = np.array(part['names'])
        np.savez_compressed(self.args.out / 'maps.npz', **arrays)
        options = {key: str(value) for key, value in vars(self.args).items()}
        record = dict(
            options=options,
            history=self.history,
            seconds=round(self.seconds, 1),
            machine=f'{platform.machine()}, one thread, torch {torch.__version__}',
            date=time.strftime('%Y-%m-%d %H:%M'),
        )
        (self.args.out / 'run.json').write_text(json.dumps(record) + '\n')
        torch.save(self.network.state_dict(), self.args.out / 'network.pth')
        self.checkpoint.unlink(missing_ok=True)


def parse() -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--ood', type=Path, help='a folder with test/ without objects')
    parser.add_argument(
        '--other', type=Path, help='a set without objects of this one, test/ is used'
    )
    parser.add_argument(
        '--replace', type=float, help='share of samples that become windows'
    )
    parser.add_argument(
        '--begin', type=float, default=0.0, help='share of the epochs before windows'
    )
    parser.add_argument(
        '--doubt', type=float, default=0.0, help='label of windows, a probability'
    )
    parser.add_argument(
        '--patches', action='store_true', help="MONAI's RandCropByPosNegLabeld"
    )
    parser.add_argument('--add', type=int, help='windows added to each batch')
    parser.add_argument(
        '--smallest', type=float, default=0.25, help='side of a window, as a share'
    )
    parser.add_argument(
        '--full', action='store_true', help='cut windows from images at full size'
    )
    parser.add_argument(
        '--disturb', type=float, help='share of samples that are slightly corrupted'
    )
    parser.add_argument(
        '--disturb-objects', action='store_true', help='never disturb windows'
    )
    parser.add_argument(
        '--strong', action='store_true', help='disturb by strong blur, or pallor'
    )
    parser.add_argument('--shift', action='store_true', help='corrupted test images')
    parser.add_argument('--method', choices=METHODS, default='bce')
    parser.add_argument('--beta', default='HI', help='perturbation: HI, SI, M, DM')
    parser.add_argument(
        '--alpha',
        type=float,
        default=0.05,
        help='level of SLP; label smoothing has the strength of HI at this level',
    )
    parser.add_argument('--eta', type=float, help='step of the rules MC and ME')
    parser.add_argument('--network', choices=sorted(NETWORKS), default='unet')
    parser.add_argument('--train-images', type=int, help='only the first ones')
    parser.add_argument('--epochs', type=int)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--wrong', type=float, help='share of training masks that are made wrong'
    )
    parser.add_argument('--swap', action='store_true', help='val and test exchanged')
    parser.add_argument('--out', type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    args = parse()
    if (args.out / 'run.json').is_file():
        return
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    run = Run(args)
    run.fit()
    run.finish()


if __name__ == '__main__':
    main()
