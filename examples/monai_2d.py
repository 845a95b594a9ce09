"""Train a 2-D network of MONAI with BCE and with levels by band.

It needs monai:

    python examples/monai_2d.py                 # nuclei
    python examples/monai_2d.py --data FOLDER   # {train,val,test}/{images,masks}
"""

import argparse

import torch
from monai.data import DataLoader, Dataset
from monai.networks.nets import UNet
from monai.transforms import (
    Compose,
    RandFlipd,
    RandGaussianNoised,
    RandRotate90d,
    ToTensord,
)
from monai.utils import set_determinism
from pairs import load_splits

from mmaslp import BandLevels, BandTable, CalibrationHistogram, SelfCalibratingBCE
from mmaslp.report.tables import format_table

COLUMNS = {
    'ece': 'ECE',
    'ece_band': 'ECE by band',
    'oe': 'OE',
    'acc': 'accuracy',
    'nll': 'NLL',
}
BOTH = ['image', 'mask']
AUGMENT = Compose(
    [
        RandFlipd(BOTH, prob=0.5, spatial_axis=1),
        RandRotate90d(BOTH, prob=0.2),
        RandGaussianNoised('image', prob=0.5, std=0.05),
        ToTensord(BOTH, track_meta=False),
    ]
)


@torch.no_grad()
def measure(network, data):
    """What was counted on a split."""
    histogram, table = CalibrationHistogram(), BandTable()
    network.eval()
    for batch in DataLoader(data, batch_size=20):
        prob, mask = network(batch['image']).sigmoid()[:, 0], batch['mask'][:, 0]
        histogram.update(prob, mask)
        table.update(prob, mask)
    return histogram, table


def train(name, data, epochs, levels):
    """Train one network; return its figures on the test split."""
    set_determinism(0)
    network = UNet(2, 3, 1, (8, 16, 32, 64), strides=(2, 2, 2), num_res_units=2)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, epochs, power=0.9)
    loader = DataLoader(Dataset(data['train'], AUGMENT), batch_size=4, shuffle=True)
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
