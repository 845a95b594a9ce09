"""Train a 2-D network of MONAI with BCE and with ASLP, on its transforms and loader.

It needs monai, no host:

    python examples/monai_2d.py                 # built-in data
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
    """Every calibration figure on a split."""
    histogram, regions = CalibrationHistogram(), BandTable()
    network.eval()
    for batch in DataLoader(data, batch_size=20):
        prob, mask = network(batch['image']).sigmoid()[:, 0], batch['mask'][:, 0]
        histogram.update(prob, mask)
        regions.update(prob, mask)
    return {**histogram.compute(), **regions.compute()}


def train(data, rule, epochs):
    """Train one network; return its figures on the test split."""
    set_determinism(0)
    network = UNet(2, 3, 1, (8, 16, 32, 64), strides=(2, 2, 2), num_res_units=2)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, epochs, power=0.9)
    loader = DataLoader(Dataset(data['train'], AUGMENT), batch_size=4, shuffle=True)
    # An augmented image keeps its name, and with it its level.
    aslp = ASLP(data['train'].names, rule=rule, warmup=5 * len(loader))
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
        found = measure(network, data['val'])
        aslp.observe(found['acc'], found['conf'])
        if epoch % 20 == 19:
            level = aslp.alpha.mean()
            print(f'{aslp.rule.name} epoch {epoch + 1}: {level=:.3f}', flush=True)
    return measure(network, data['test'])


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--data', help='a folder; left out: built-in data')
    parser.add_argument('--epochs', type=int, default=80)
    parser.add_argument('--size', type=int, default=64, help='a multiple of 8')
    args = parser.parse_args()
    data = load_splits(args.data, args.size)
    rows = {}
    # Level 0 for every image, and it stays there: plain binary cross entropy.
    for name, rule in {'BCE': 'fixed', 'ASLP-FB': 'FB'}.items():
        figures = train(data, rule, args.epochs)
        rows[name] = {label: figures[key] for key, label in COLUMNS.items()}
    print(format_table(rows, list(COLUMNS.values())))


if __name__ == '__main__':
    main()
