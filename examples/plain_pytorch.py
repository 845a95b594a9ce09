"""Train a small U-Net with BCE and with ASLP in a loop of one's own.

It needs torch and mmaslp, no host:

    python examples/plain_pytorch.py                 # built-in data
    python examples/plain_pytorch.py --data FOLDER   # {train,val,test}/{images,masks}
"""

import argparse
from itertools import pairwise

import torch
from pairs import load_splits
from torch import nn
from torch.utils.data import DataLoader

from mmaslp.core import ASLP, BandTable, CalibrationHistogram
from mmaslp.hosts.mmseg.losses import SelfCalibratingBCE
from mmaslp.report.text_table import format_table

COLUMNS = {
    'ece': 'ECE',
    'ece_band': 'ECE region',
    'oe': 'OE',
    'acc': 'accuracy',
    'nll': 'NLL',
}


def block(inputs, outputs):
    layers = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    def __init__(self, widths=(8, 16, 32, 64)):
        super().__init__()
        pairs = list(pairwise(widths))
        self.first = block(3, widths[0])
        self.down = nn.ModuleList(block(low, high) for low, high in pairs)
        self.up = nn.ModuleList(block(low + high, low) for low, high in pairs)
        self.last = nn.Conv2d(widths[0], 1, 1)

    def forward(self, images):
        features = [self.first(images)]
        for down in self.down:
            features.append(down(nn.functional.max_pool2d(features[-1], 2)))
        x = features.pop()
        for up in reversed(self.up):
            x = nn.functional.interpolate(x, scale_factor=2, mode='bilinear')
            x = up(torch.cat([x, features.pop()], 1))
        return self.last(x)


@torch.no_grad()
def measure(network, data):
    """What was counted on a split: by confidence, and by distance from the border."""
    histogram, regions = CalibrationHistogram(), BandTable()
    network.eval()
    for batch in DataLoader(data, 20):
        prob, mask = network(batch['image']).sigmoid()[:, 0], batch['mask'][:, 0]
        histogram.update(prob, mask)
        regions.update(prob, mask)
    return histogram, regions


def train(name, data, epochs, warmup, **options):
    """Train one network; return its figures on the test split."""
    torch.manual_seed(0)
    network = UNet()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, epochs, power=0.9)
    loader = DataLoader(data['train'], 4, shuffle=True)
    aslp = ASLP(data['train'].names, warmup=warmup * len(loader), **options)
    criterion = SelfCalibratingBCE()
    for epoch in range(epochs):
        network.train()
        for i, batch in enumerate(loader):
            draw = aslp.draw(batch['name'], step=epoch * len(loader) + i)
            loss = criterion(network(batch['image']), batch['mask'], draw)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            aslp.update(draw)
        schedule.step()
        histogram, regions = measure(network, data['val'])
        aslp.observe(regions if aslp.regions else histogram)
        if epoch % 20 == 19:
            levels = (aslp.profile if aslp.regions else aslp.alpha.mean()).numpy()
            print(f'{name} epoch {epoch + 1}: {levels.round(3)}', flush=True)
    histogram, regions = measure(network, data['test'])
    return {**histogram.compute(), **regions.compute()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--data', help='a folder; left out: built-in data')
    parser.add_argument('--epochs', type=int, default=80)
    parser.add_argument('--size', type=int, default=64, help='a multiple of 8')
    args = parser.parse_args()
    data = load_splits(args.data, args.size)
    rows = {}
    methods = {
        # Level 0 for every image, and it stays there: plain binary cross entropy.
        'BCE': dict(rule='fixed', warmup=0),
        'ASLP-FB': dict(rule='FB', warmup=5),
        'ASLP-FB by region': dict(rule='FB', regions='border', warmup=args.epochs // 3),
    }
    for name, options in methods.items():
        figures = train(name, data, args.epochs, **options)
        rows[name] = {label: figures[key] for key, label in COLUMNS.items()}
    print(format_table(rows, list(COLUMNS.values())))


if __name__ == '__main__':
    main()
