import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from PIL import Image

from mmaslp.core.calibration.detection import detection_auroc
from tests.scripts import run_script
from tests.toy import Toy, write_images

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'show_levels.py'


def show(*args, cwd):
    return run_script(TOOL, *args, cwd=cwd)


def train(cfg, path):
    Runner.from_cfg(cfg).train()
    cfg.pop('experiment_name')
    cfg.dump(path)
    return path


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp('levels')
    return root, train(Toy(root / 'toy').config(root / 'run'), root / 'cfg.py')


@pytest.fixture(scope='module')
def synthetic(tmp_path_factory):
    """A run on built-in data of which a quarter of the masks is wrong."""
    root = tmp_path_factory.mktemp('synthetic')
    cfg = Toy(root / 'toy').config(root / 'run')
    for split, loader in (('train', 'train_dataloader'), ('val', 'val_dataloader')):
        cfg[loader].batch_size = 4
        cfg[loader].dataset = dict(
            type='SyntheticSODDataset',
            data_root=str(root / 'set'),
            split=split,
            size=32,
            num_images=dict(train=16, val=8, test=1, ood=1),
            wrong_share=0.25,
            pipeline=cfg[loader].dataset.pipeline,
        )
    cfg.model.data_preprocessor.size = (32, 32)
    cfg.train_cfg.max_epochs = 2
    cfg.default_hooks.checkpoint.interval = 2
    return root, train(cfg, root / 'cfg.py')


@pytest.fixture(scope='module')
def mislabelled(tmp_path_factory):
    """A run on bright squares, six masks of which lie in the opposite corner."""
    root = tmp_path_factory.mktemp('mislabelled')
    toy = Toy(root / 'toy')
    shutil.rmtree(root / 'toy' / 'train')
    write_images(root / 'toy' / 'train', 40, seed=3)
    names = ['00', '05', '11', '22', '30', '39']
    for name in names:
        path = root / 'toy' / 'train' / 'masks' / f'{name}.png'
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.roll(mask, (8, 8), (0, 1))).save(path)
    (root / 'wrong.json').write_text(json.dumps({'wrong_masks': names}))
    cfg = toy.config(root / 'run')
    cfg.train_dataloader.batch_size = 4
    cfg.train_cfg.max_epochs = 8
    cfg.optim_wrapper.optimizer.lr = 2e-2
    cfg.custom_hooks[0].warmup_epochs = 3
    cfg.default_hooks.checkpoint.interval = 8
    return root, train(cfg, root / 'cfg.py')


def test_low_levels_find_masks_in_the_wrong_place(mislabelled):
    root, config = mislabelled
    done = show(config, 'run/epoch_8.pth', '--wrong', 'wrong.json', cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads((root / 'run' / 'levels' / 'levels.json').read_text())
    found = figures['wrong_masks']
    assert found['num_wrong'] == 6 and figures['num_images'] == 40
    assert found['auroc'] > 0.9 and found['low'] > 0.8
    assert found['mean_wrong'] < found['mean_right']


def names_of(path):
    return json.loads(path.read_text())['wrong_masks']


def test_manifest_of_the_built_in_data_is_found(synthetic):
    root, config = synthetic
    done = show(config, 'run/epoch_2.pth', '--num', 4, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    out = root / 'run' / 'levels'
    figures = json.loads((out / 'levels.json').read_text())
    with open(out / 'levels.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    alpha = np.array([float(row['alpha']) for row in rows])
    stems = [Path(row['img_path']).stem for row in rows]
    wrong = np.isin(stems, names_of(root / 'set' / 'manifest.json'))
    assert len(rows) == 16 and wrong.sum() == 4
    found = figures['wrong_masks']
    assert found['num_wrong'] == 4
    assert found['auroc'] == pytest.approx(detection_auroc(-alpha, wrong))
    assert found['low'] <= found['auroc'] <= found['high']
    assert found['mean_wrong'] == pytest.approx(alpha[wrong].mean(), abs=1e-6)
    assert figures['mean'] == pytest.approx(alpha.mean(), abs=1e-6)
    assert figures['quantiles']['0.5'] == pytest.approx(np.median(alpha), abs=1e-6)
    assert '4 wrong masks' in done.stdout
    assert f'AUROC {found["auroc"]:.4f}' in done.stdout
    assert np.asarray(Image.open(out / 'levels.png')).std() > 10
    assert np.asarray(Image.open(out / 'histogram.png')).std() > 10
    assert (out / 'levels.pdf').read_bytes().startswith(b'%PDF')
    # An own list of names, here with paths and suffixes, gives the same as a command.
    paths = [f'images/{n}.png' for n in names_of(root / 'set' / 'manifest.json')]
    (root / 'wrong.txt').write_text('\n'.join(paths))
    args = ['run/epoch_2.pth', '--wrong', 'wrong.txt', '--out', 'own', '--num', '2']
    done = show(config, *args, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((root / 'own' / 'levels.json').read_text()) == figures


def test_levels_are_those_of_the_checkpoint(trained):
    root, config = trained
    # More images at each end than there are, and no known wrong masks.
    done = show(config, 'run/epoch_3.pth', '--out', 'shown', cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (root / 'shown' / 'levels.csv').read_text() == (
        root / 'run' / 'alpha.csv'
    ).read_text()
    figures = json.loads((root / 'shown' / 'levels.json').read_text())
    assert figures['settings']['rule'] == 'MC' and 'wrong_masks' not in figures
    assert 'AUROC' not in done.stdout
    # An earlier checkpoint has other levels, equal ones before the warm-up ends.
    done = show(config, 'run/epoch_1.pth', '--out', 'early', cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'all levels are equal' in done.stdout
    early = json.loads((root / 'early' / 'levels.json').read_text())
    assert early['max'] == 0 < figures['max']


def test_checkpoint_without_levels(trained):
    root, config = trained
    content = torch.load(root / 'run' / 'epoch_3.pth', weights_only=False)
    del content['message_hub']
    torch.save(content, root / 'weights.pth')
    done = show(config, 'weights.pth', cwd=root)
    assert done.returncode == 2
    assert 'weights.pth holds no levels' in done.stderr
    assert 'ASLPHook' in done.stderr and 'Traceback' not in done.stderr


def test_levels_of_other_images(trained, tmp_path):
    root, config = trained
    write_images(tmp_path / 'other', 10, seed=2)
    option = f'train_dataloader.dataset.data_root={tmp_path / "other"}'
    done = show(config, 'run/epoch_3.pth', '--cfg-options', option, cwd=root)
    assert done.returncode == 2
    assert 'knows 0 of the 10 training images' in done.stderr
    assert str(tmp_path / 'other' / 'images') in done.stderr


def test_a_part_of_the_images(trained):
    root, config = trained
    option = 'train_dataloader.dataset.indices=4'
    done = show(
        *(config, 'run/epoch_3.pth', '--out', 'part', '--cfg-options', option),
        cwd=root,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert '6 images of the checkpoint are not in the config' in done.stdout
    figures = json.loads((root / 'part' / 'levels.json').read_text())
    assert figures['num_images'] == 4


@pytest.mark.parametrize('num_images', [6, 2])
def test_a_part_of_the_built_in_data(synthetic, num_images):
    root, config = synthetic
    option = f'train_dataloader.dataset.indices={num_images}'
    args = (config, 'run/epoch_2.pth', '--out', 'part', '--cfg-options', option)
    done = show(*args, cwd=root)
    assert done.returncode == 0, done.stderr[-3000:]
    kept = sum(int(name) < num_images for name in names_of(root / 'set/manifest.json'))
    assert kept < 4
    assert f'{4 - kept} wrong masks of' in done.stdout
    figures = json.loads((root / 'part' / 'levels.json').read_text())
    assert figures['num_images'] == num_images
    assert figures['wrong_masks']['num_wrong'] == kept
    # The same file, given by the user, has to fit.
    done = show(*args, '--wrong', root / 'set' / 'manifest.json', cwd=root)
    assert done.returncode == 2
    assert f'{4 - kept} names are no images of the training set' in done.stderr


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('a.json', '{"wrong_masks": ["03", "77"]}', "such as ['77']"),
        ('a.json', '{"masks": []}', 'a manifest is {"wrong_masks"'),
        ('a.json', 'none', 'no JSON file'),
        ('a.txt', '03.png\n77.png\n', "such as ['77']"),
    ],
)
def test_bad_manifest(trained, tmp_path, name, content, message):
    root, config = trained
    path = tmp_path / name
    path.write_text(content)
    done = show(config, 'run/epoch_3.pth', '--wrong', path, cwd=root)
    assert done.returncode == 2 and message in done.stderr
    assert str(path) in done.stderr and 'Traceback' not in done.stderr


def test_bad_arguments(trained):
    root, config = trained
    for args, message in (
        (('run/epoch_3.pth', '--num', 0), '--num must be 1 or more'),
        (('run/epoch_3.pth', '--wrong', 'no.json'), 'no manifest at'),
        (('run/epoch_3.pth', '--wrong', 'no.txt'), 'no such list file'),
        (('no.pth',), 'no checkpoint at'),
    ):
        done = show(config, *args, cwd=root)
        assert done.returncode == 2 and message in done.stderr


def test_damaged_levels(trained):
    root, config = trained
    content = torch.load(root / 'run' / 'epoch_3.pth', weights_only=False)
    content['message_hub']['runtime_info']['aslp']['alpha'][2] = float('nan')
    torch.save(content, root / 'damaged.pth')
    done = show(config, 'damaged.pth', cwd=root)
    assert done.returncode == 2
    assert 'damaged.pth: damaged state of an AlphaBank' in done.stderr


def test_config_whose_mask_is_resized(trained):
    root, config = trained
    shutil.copy(config, root / 'resized.py')
    text = (root / 'resized.py').read_text()
    with open(root / 'resized.py', 'w') as file:
        file.write(
            text
            + '\nval_dataloader["dataset"]["pipeline"].insert('
            + '2, dict(type="Resize", scale=(32, 32)))\n'
        )
    done = show('resized.py', 'run/epoch_3.pth', cwd=root)
    assert done.returncode == 2
    assert 'must load the mask after Resize' in done.stderr
