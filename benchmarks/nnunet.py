"""nnU-Net on a real 2-D set, from its own command line: layout, noise, table.

``sh benchmarks/nnunet.sh`` runs the whole: about 20 minutes of one CPU core. It needs
``nnunetv2`` and a folder ``{train,val,test}/{images,masks}`` as ``ccp_person`` of the
shared data.

    python benchmarks/nnunet.py layout DATA       # the raw set and its one split
    python benchmarks/nnunet.py plans             # a small network for a CPU
    python benchmarks/nnunet.py noise TRAINER     # gaps by patches and by whole images
    python benchmarks/nnunet.py table TRAINER...  # test figures, with a calibrator
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

DATASET = 'Dataset501_Person'
TRAIN, VAL = 120, 60


def layout(data: str) -> None:
    """Write ``imagesTr``, ``labelsTr``, ``imagesTs``, ``labelsTs`` and the split."""
    raw = Path(os.environ['nnUNet_raw']) / DATASET
    splits = {'train': [], 'val': []}
    for part, count, end in (('train', TRAIN, 'Tr'), ('val', VAL, 'Tr'), ('test', None, 'Ts')):
        for folder in ('images', 'labels'):
            (raw / (folder + end)).mkdir(parents=True, exist_ok=True)
        for path in sorted(Path(data, part, 'images').iterdir())[:count]:
            case = f'person_{path.stem}'
            splits.setdefault(part, []).append(case)
            Image.open(path).convert('RGB').save(raw / f'images{end}/{case}_0000.png')
            mask = np.asarray(Image.open(Path(data, part, 'masks', f'{path.stem}.png')))
            label = Image.fromarray((mask > 127).astype(np.uint8))
            label.save(raw / f'labels{end}/{case}.png')
    description = {
        'channel_names': {'0': 'R', '1': 'G', '2': 'B'},
        'labels': {'background': 0, 'person': 1},
        'numTraining': TRAIN + VAL,
        'file_ending': '.png',
    }
    (raw / 'dataset.json').write_text(json.dumps(description))
    prepared = Path(os.environ['nnUNet_preprocessed']) / DATASET
    prepared.mkdir(parents=True, exist_ok=True)
    split = {name: splits[name] for name in ('train', 'val')}
    (prepared / 'splits_final.json').write_text(json.dumps([split]))


def plans() -> None:
    """Make the planned 2-D network small: 96 x 96 patches, four stages, 8 channels."""
    path = Path(os.environ['nnUNet_preprocessed']) / DATASET / 'nnUNetPlans.json'
    found = json.loads(path.read_text())
    config = found['configurations']['2d']
    config.update(patch_size=[96, 96], batch_size=8)
    arch = config['architecture']['arch_kwargs']
    arch.update(
        n_stages=4,
        features_per_stage=[8, 16, 32, 64],
        kernel_sizes=[[3, 3]] * 4,
        strides=[[1, 1], [2, 2], [2, 2], [2, 2]],
        n_conv_per_stage=[2] * 4,
        n_conv_per_stage_decoder=[2] * 3,
    )
    path.write_text(json.dumps(found, indent=2))


if __name__ == '__main__':
    globals()[sys.argv[1]](*sys.argv[2:])
