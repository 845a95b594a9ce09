"""Train a small U-Net with BCE and with levels by band in a loop of one's own.

It needs torch and mmaslp:

    python examples/plain_pytorch.py                 # nuclei
    python examples/plain_pytorch.py --data FOLDER   # {train,val,test}/{images,masks}
"""

import argparse
from itertools import pairwise

import torch
from pairs import load_splits
from torch import nn
from torch.utils.data import DataLoader

from mmaslp import BandLevels, BandTable, CalibrationHistogram, SelfCalibratingBCE
from mmaslp.report.tables import format_table

COLUMNS = {
    'ece': 'ECE',
    'ece_band': 'ECE by band',
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
    histogram, table = CalibrationHistogram(), BandTable()
    network.eval()
    for batch in DataLoader(data, 20):
        prob, mask = network(batch['image']).sigmoid()[:, 0], batch['mask'][:, 0]
        histogram.update(prob, mask)
        table.update(prob, mask)
    return histogram, table


def train(name, data, epochs, levels):
    """Train one network; return its figures on the test split."""
    torch.manual_seed(0)
    network = UNet()
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, epochs, power=0.9)
    loader = DataLoader(data['train'], 4, shuffle=True)
    criterion = SelfCalibratingBCE(levels)
    for epoch in range(epochs):
        network.train()
        for batch in loader:
            loss = criterion(network(batch['image']), batch['mask'])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        if levels is not None:
            levels.observe(measure(network, data['val'])[1])
            if epoch % 20 == 19:
                print(f'{name} epoch {epoch + 1}: {levels}', flush=True)
    histogram, table = measure(network, data['test'])
    return {**histogram.compute(), **table.compute()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--data', help='a folder; left out: the nuclei of the package')
    parser.add_argument('--epochs', type=int, default=80)
    parser.add_argument('--size', type=int, default=64, help='a multiple of 8')
    args = parser.parse_args()
    data = load_splits(args.data, args.size)
    rows = {}
    methods = {
        'BCE': None,
        'levels by band': BandLevels(warmup=args.epochs // 3),
    }
    for name, levels in methods.items():
        figures = train(name, data, args.epochs, levels)
        rows[name] = {label: figures[key] for key, label in COLUMNS.items()}
    print(format_table(rows, list(COLUMNS.values())))


if __name__ == '__main__':
    main()
