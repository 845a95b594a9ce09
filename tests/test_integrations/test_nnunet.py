"""Trainers of nnU-Net, on a toy set of four cases that lies preprocessed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip('nnunetv2')

from nnunetv2.run.run_training import get_trainer_from_args, maybe_load_checkpoint
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.utilities.helpers import softmax_helper_dim1

from mmaslp.integrations.nnunet.loss import (
    DeepSupervision,
    SelfCalibratingLoss,
    Targets,
)
from mmaslp.integrations.nnunet.trainers import band_levels
from mmaslp.levels import BandLevels, ImageBandLevels
from mmaslp.losses import SelfCalibratingBCE

ONE_LABEL = {'background': 0, 'blob': 1}
REGIONS = {'background': 0, 'whole': [1, 2], 'core': [2]}
PATCHES = {'2d': [32, 32], '3d_fullres': [4, 16, 16]}
SHORT = """
import random
import numpy as np
import torch
from mmaslp.integrations.nnunet.trainers.band_levels import (
    nnUNetTrainerBandLevels,
    nnUNetTrainerImageBandLevels,
)

class Short:
    warmup = 0

    def initialize(self):
        torch.manual_seed(0)
        self.num_epochs, self.save_every = 6, 1
        self.num_iterations_per_epoch = self.num_val_iterations_per_epoch = 2
        self.logger.plot_progress_png = lambda folder: None
        super().initialize()
        for layer in self.network.decoder.seg_layers:  # it finds objects, and is sure
            layer.bias.data[0 if self.targets.regions else 1 :] += 2

    def on_train_epoch_start(self):
        super().on_train_epoch_start()
        for seed in random.seed, np.random.seed, torch.manual_seed:
            seed(self.current_epoch)

class ShortBandLevels(Short, nnUNetTrainerBandLevels):
    pass

class ShortImageBandLevels(Short, nnUNetTrainerImageBandLevels):
    pass
"""
SHORT_TRAINERS = ['ShortBandLevels', 'ShortImageBandLevels']


def write_toy(folder, labels, configuration):
    """Write what nnUNetv2_plan_and_preprocess would, for noise with a blob in it."""
    patch, flat = PATCHES[configuration], configuration == '2d'
    base = folder / 'preprocessed/Dataset999_Toy'
    cases = base / 'data'
    cases.mkdir(parents=True)
    size = (1, *patch) if flat else tuple(patch)
    for index in range(4):
        generator = np.random.default_rng(index)
        label = np.zeros((1, *size), np.int16)
        side = size[-1] // 8
        label[..., side : 7 * side, side : 6 * side] = 1
        if len(labels) > 2:
            label[..., 2 * side : 6 * side, 2 * side : 6 * side] = 2
        data = generator.normal(size=(1, *size)).astype(np.float32) + label
        places = {
            value: np.argwhere(label == value) for value in np.unique(label) if value
        }
        nnUNetDatasetBlosc2.save_case(
            data,
            label,
            {
                'class_locations': places,
                'spacing': [1.0, 1.0, 1.0],
                'shape_before_cropping': size,
                'shape_after_cropping_and_before_resampling': size,
                'bbox_used_for_cropping': [[0, side] for side in size],
            },
            str(cases / f'case{index}'),
            chunks=data.shape,
            blocks=data.shape,
        )
        if flat:
            (base / 'gt_segmentations').mkdir(exist_ok=True)
            picture = Image.fromarray(label[0, 0].astype(np.uint8))
            picture.save(base / f'gt_segmentations/case{index}.png')
            (folder / 'images').mkdir(exist_ok=True)
            grey = Image.fromarray(np.uint8(data[0, 0].clip(-2, 4) * 40 + 90))
            grey.save(folder / f'images/case{index}_0000.png')
    stages, dims = 3, len(patch)
    step = [1, 2, 2][-dims:]
    architecture = {
        'network_class_name': 'dynamic_network_architectures.architectures.unet.'
        'PlainConvUNet',
        'arch_kwargs': {
            'n_stages': stages,
            'features_per_stage': [4] * stages,
            'conv_op': f'torch.nn.modules.conv.Conv{dims}d',
            'kernel_sizes': [[3] * dims] * stages,
            'strides': [[1] * dims, step, step],
            'n_conv_per_stage': [1] * stages,
            'n_conv_per_stage_decoder': [1] * (stages - 1),
            'conv_bias': True,
            'norm_op': f'torch.nn.modules.instancenorm.InstanceNorm{dims}d',
            'norm_op_kwargs': {'eps': 1e-5, 'affine': True},
            'dropout_op': None,
            'dropout_op_kwargs': None,
            'nonlin': 'torch.nn.LeakyReLU',
            'nonlin_kwargs': {'inplace': True},
        },
        '_kw_requires_import': ['conv_op', 'norm_op', 'dropout_op', 'nonlin'],
    }
    plan = {
        'data_identifier': 'data',
        'patch_size': patch,
        'batch_size': 2,
        'spacing': [1.0] * dims,
        'use_mask_for_norm': [False],
        'batch_dice': True,
        'architecture': architecture,
        'normalization_schemes': ['ZScoreNormalization'],
        'preprocessor_name': 'DefaultPreprocessor',
    }
    for kind in 'data', 'seg', 'probabilities':
        plan[f'resampling_fn_{kind}'] = 'resample_data_or_seg_to_shape'
        plan[f'resampling_fn_{kind}_kwargs'] = {'is_seg': kind == 'seg', 'order': 1}
    plans = {
        'dataset_name': 'Dataset999_Toy',
        'plans_name': 'nnUNetPlans',
        'label_manager': 'LabelManager',
        'image_reader_writer': 'NaturalImage2DIO',
        'foreground_intensity_properties_per_channel': {'0': {}},
        'transpose_forward': [0, 1, 2],
        'transpose_backward': [0, 1, 2],
        'configurations': {configuration: plan},
    }
    dataset = {'channel_names': {'0': 'grey'}, 'labels': labels, 'file_ending': '.png'}
    if len(labels) > 2:
        dataset['regions_class_order'] = [1, 2]
    split = {'train': ['case0', 'case1'], 'val': ['case2', 'case3']}
    for name, content in {
        'nnUNetPlans': plans,
        'dataset': dataset,
        'dataset_fingerprint': {},
        'splits_final': [split],
    }.items():
        (base / f'{name}.json').write_text(json.dumps(content))


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Make a trainer as ``nnUNetv2_train`` does, from its name."""
    extra = tmp_path / 'trainers'
    extra.mkdir()
    (extra / 'short.py').write_text(SHORT)
    folders = f'{Path(band_levels.__file__).parent}:{extra}'
    monkeypatch.setenv('nnUNet_extTrainer', folders)
    monkeypatch.setenv('nnUNet_n_proc_DA', '0')
    monkeypatch.setenv('nnUNet_preprocessed', str(tmp_path / 'preprocessed'))

    def trainer(
        name='ShortBandLevels',
        labels=ONE_LABEL,
        configuration='2d',
        results='results',
        resume=False,
    ):
        monkeypatch.setenv('nnUNet_results', str(tmp_path / results))
        if not (tmp_path / 'preprocessed').exists():
            write_toy(tmp_path, labels, configuration)
        made = get_trainer_from_args(
            'Dataset999_Toy',
            configuration,
            0,
            name,
            continue_training=resume,
            device=torch.device('cpu'),
        )
        maybe_load_checkpoint(made, resume, False)
        return made

    return trainer


def outputs(regions, depth, ignore):
    """Random logits and a target of nnU-Net's layout."""
    generator = torch.Generator().manual_seed(0)
    size = (2, 12, 10) if depth is None else (2, depth, 12, 10)
    shape = (2, *size[1:])
    logits = torch.randn(2, 2, *size[1:], generator=generator).requires_grad_()
    high = 3 if ignore else 2
    label = torch.randint(0, high, shape, generator=generator)[:, None]
    if not regions:
        return logits, label.to(torch.int16)
    channels = [label == 1, torch.rand(shape, generator=generator)[:, None] < 0.5]
    return logits, torch.cat(channels + [label == 2] * ignore, 1)


@pytest.mark.parametrize(
    ('regions', 'depth', 'ignore'),
    [(False, None, False), (False, 3, True), (True, None, True), (True, 3, False)],
)
def test_at_level_0_it_is_the_loss_of_nnunet(regions, depth, ignore):
    logits, target = outputs(regions, depth, ignore)
    dice = {'batch_dice': True, 'smooth': 1e-5, 'do_bg': regions, 'ddp': False}
    if regions:
        theirs = DC_and_BCE_loss({}, dice, use_ignore_label=ignore)
        # nnU-Net adds up the channels where it ignores pixels, and averages elsewhere.
        theirs.weight_ce = 0.5 if ignore else 1
        nonlin = torch.sigmoid
    else:
        theirs = DC_and_CE_loss(
            dice,
            {},
            ignore_label=2 if ignore else None,
            dice_class=MemoryEfficientSoftDiceLoss,
        )
        nonlin = softmax_helper_dim1
    ours = SelfCalibratingLoss(
        SelfCalibratingBCE(BandLevels(), channels='independent'),
        Targets(regions, 2 if ignore else None),
        MemoryEfficientSoftDiceLoss(apply_nonlin=nonlin, **dice),
    )
    found, wanted = ours(logits, target), theirs(logits, target)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, logits)[0] for loss in (found, wanted))
    )


def test_bands_lie_in_the_plane_of_a_slice():
    # A level of the first band alone smooths the labels on both sides of the border in
    # every slice, and none in a slice without a border.
    levels = BandLevels()
    levels.levels[0] = 0.5
    target = torch.zeros(1, 1, 3, 64, 64, dtype=torch.int16)
    target[:, :, 1:, :, 32:] = 1
    target[:, :, 2] = 1
    logits = torch.zeros(1, 2, 3, 64, 64)
    logits[:, 1] = 10.0 * (2 * target[:, 0] - 1)
    logits.requires_grad_()
    criterion = SelfCalibratingBCE(levels, channels='independent')
    loss = SelfCalibratingLoss(criterion, Targets(regions=False))
    loss(logits, target).backward()
    smoothed = (logits.grad[0, 1].abs() * target.numel() > 0.1).nonzero()
    assert set(smoothed[:, 2].tolist()) == {31, 32}
    assert set(smoothed[:, 0].tolist()) == {1}


def patch_logits():
    """Logits of a network with two scales and the labels of two patches."""
    labels = torch.zeros(2, 1, 16, 16, dtype=torch.int16)
    labels[..., 8:] = 1
    logits = torch.zeros(2, 2, 16, 16)
    logits[:, 1] = 4.0 * (2 * labels[:, 0] - 1)
    logits[1, 1, :, 6:8] *= -1  # the second patch is wrong beside the border
    outputs = [logits, logits[:, :, ::2, ::2] * 0.5]
    return outputs, [labels, labels[:, :, ::2, ::2]]


@pytest.mark.parametrize('coarse_weight', [0.0, 1e-6, 0.5])
def test_patches_have_one_weight_at_all_scales_that_of_the_finest(coarse_weight):
    levels = ImageBandLevels()
    levels.levels[:] = 0.1
    levels.mean_error = 0.1
    criterion = SelfCalibratingBCE(levels, channels='independent')
    loss = DeepSupervision(
        SelfCalibratingLoss(criterion, Targets(regions=False)),
        [1 - coarse_weight, coarse_weight],
        levels,
    )
    outputs, labels = patch_logits()

    # By hand: error of each patch at the finest scale, its weight, its target.
    prob = (outputs[0][:, 1] - outputs[0][:, 0]).sigmoid()
    errors = (prob - labels[0][:, 0].float()).abs().mean((1, 2))
    weights = (errors / 0.1).clamp(0.2, 4.0)
    wanted = 0.0
    for weight, output, label in zip(loss.weights, outputs, labels):
        eps = (0.1 * weights)[:, None, None]
        target = (1 - eps) * label[:, 0] + eps / 2
        logit = output[:, 1] - output[:, 0]
        wanted += weight * (logit.clamp(min=0) - logit * target).mean()
        wanted += weight * (-logit.abs()).exp().log1p().mean()
    torch.testing.assert_close(loss(outputs, labels), wanted)

    assert errors[1] > 2 * errors[0]
    total, count = levels.error_sums.tolist()
    assert count == 2
    assert total == pytest.approx(errors.double().sum().item())


def test_a_validation_loss_is_that_of_nnunet_and_teaches_no_errors(toy):
    trainer = toy('ShortImageBandLevels')
    trainer.on_train_start()
    trainer.levels.levels[:] = 0.3
    with torch.no_grad():
        trainer.on_validation_epoch_start()
        batch = next(trainer.dataloader_val)
        found = trainer.validation_step(batch)['loss']
        theirs = super(type(trainer).__mro__[3], trainer)._build_loss()
        wanted = theirs(trainer.network(batch['data']), batch['target'])
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-6)
    assert trainer.levels.error_sums.tolist() == [0, 0]

    trainer.on_train_epoch_start()
    trainer.train_step(next(trainer.dataloader_train))
    assert trainer.levels.error_sums[1] == 2
    trainer.on_train_end()


def test_a_warmup_is_a_share_of_the_epochs(toy):
    trainer = toy()
    for wrong in ('third', float('nan'), 5):
        trainer.warmup = wrong
        with pytest.raises(ValueError, match='warmup must be a number, at least 0'):
            trainer.initialize()


def test_a_full_disk_leaves_the_earlier_checkpoint_alone(toy, tmp_path, monkeypatch):
    trainer = toy()
    trainer.initialize()
    file = tmp_path / 'end' / 'checkpoint_latest.pth'
    file.parent.mkdir()
    trainer.save_checkpoint(str(file))
    before = file.read_bytes()

    def fill(content, path):
        Path(path).write_bytes(b'cut')
        raise RuntimeError('[enforce fail] unexpected pos 64 vs 0')

    monkeypatch.setattr(torch, 'save', fill)
    with pytest.raises(OSError, match=r'checkpoint_latest\.pth cannot be written'):
        trainer.save_checkpoint(str(file))
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert file.read_bytes() == before


def train_at_0(trainer, levels_of_loss):
    """Train with levels that stay at 0, or with BCE in their place."""
    trainer.initialize()
    observe = trainer.levels.observe

    def observe_and_stay(table, whole=False):
        observe(table, whole)
        trainer.levels.levels.zero_()

    trainer.levels.observe = observe_and_stay
    if not levels_of_loss:
        trainer.loss.loss.criterion = SelfCalibratingBCE(channels='independent')
    trainer.run_training()
    return list(trainer.network.state_dict().values())


@pytest.mark.parametrize('name', SHORT_TRAINERS)
def test_levels_of_0_are_bce_bit_for_bit(toy, name):
    with_levels = train_at_0(toy(name, results='levels'), levels_of_loss=True)
    without = train_at_0(toy(name, results='plain'), levels_of_loss=False)
    for one, other in zip(with_levels, without, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ('name', 'labels', 'configuration'),
    [
        ('ShortBandLevels', ONE_LABEL, '3d_fullres'),
        ('ShortBandLevels', REGIONS, '2d'),
        ('ShortImageBandLevels', ONE_LABEL, '2d'),
        ('ShortImageBandLevels', REGIONS, '3d_fullres'),
    ],
)
def test_levels_move_and_resume_exactly(toy, name, labels, configuration):
    kind = dict(name=name, labels=labels, configuration=configuration)
    whole = toy(**kind, results='whole')
    whole.run_training()
    assert whole.levels.levels.any()
    part = toy(**kind, results='part')
    run_until(part, epochs=2)
    resumed = toy(**kind, results='part', resume=True)
    assert resumed.current_epoch == 2
    resumed.run_training()
    ends = [json.dumps(one.levels.state_dict()) for one in (resumed, whole)]
    assert ends[0] == ends[1]
    for mine, theirs in zip(resumed.network.parameters(), whole.network.parameters()):
        assert torch.equal(mine, theirs)


def run_until(trainer, epochs):
    """Train until a signal ends it."""

    start = trainer.on_epoch_start

    def on_epoch_start():
        if trainer.current_epoch == epochs:
            raise KeyboardInterrupt
        start()

    trainer.on_epoch_start = on_epoch_start
    with pytest.raises(KeyboardInterrupt):
        trainer.run_training()


@pytest.mark.parametrize('workers', ['0', '2'])
def test_every_validation_sees_the_same_patches(toy, monkeypatch, workers):
    monkeypatch.setenv('nnUNet_n_proc_DA', workers)
    trainer = toy()
    trainer.on_train_start()
    after = np.random.get_state()[1].tolist()
    batches = [next(trainer.dataloader_val)['data'] for _ in range(4)]
    trainer.on_train_end()
    assert torch.equal(batches[0], batches[2])
    assert torch.equal(batches[1], batches[3])
    assert not torch.equal(batches[0], batches[1])
    assert np.random.get_state()[1].tolist() == after


def validate(trainer, rank, port, results):
    """Validate on batches of this process, in a group of two."""
    torch.distributed.init_process_group(
        'gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=2
    )
    trainer.is_ddp, trainer.local_rank = True, rank
    trainer.dataloader_val.data_loader.rank = rank
    trainer.on_train_epoch_start()
    np.random.seed(rank)  # training patches of its own, too
    torch.manual_seed(rank)
    trainer.train_step(next(trainer.dataloader_train))
    errors = trainer.levels.state_dict().get('error_sums')
    with torch.no_grad():
        trainer.on_validation_epoch_start()
        batch = next(trainer.dataloader_val)
        trainer.on_validation_epoch_end([trainer.validation_step(batch)])
    found = trainer.session.table.compute()['ece_band']
    state = trainer.levels.state_dict()
    results.put((found, errors, state['levels'], state.get('mean_error')))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize('name', SHORT_TRAINERS)
def test_two_processes_have_the_same_levels(toy, free_port, name):
    # nnU-Net itself starts several processes on GPUs only.
    trainer = toy(name)
    trainer.on_train_start()
    context = torch.multiprocessing.get_context('fork')
    results = context.SimpleQueue()
    processes = [
        context.Process(target=validate, args=(trainer, rank, free_port, results))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    one, errors, levels, mean_error = results.get()
    other, other_errors, same_levels, same_mean_error = results.get()
    assert one != other
    assert levels == same_levels != [0.0] * 5
    assert mean_error == same_mean_error
    if name == 'ShortImageBandLevels':
        total = errors[0] + other_errors[0]
        assert errors != other_errors
        assert mean_error == pytest.approx(total / 4, abs=1e-12)  # two patches each
