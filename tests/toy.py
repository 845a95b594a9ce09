"""What a test with a host trains: a tiny data set and configs of a tiny network."""

import io
import uuid
from functools import cache

import mmseg.models  # noqa: F401
import numpy as np
from mmengine.config import Config
from PIL import Image

import mmaslp  # noqa: F401
from tests.scripts import make_host_cheap

make_host_cheap()


def write_images(folder, num_images, seed, size=16):
    """A folder of images with a bright square each, and masks."""
    for kind in ('images', 'masks'):
        (folder / kind).mkdir(parents=True)
    for name, content in _squares(num_images, seed, size).items():
        (folder / name).write_bytes(content)


@cache
def _squares(num_images, seed, size):
    """The files of such a folder, which most tests begin with."""
    rng = np.random.default_rng(seed)
    files = {}
    for i in range(num_images):
        mask = np.zeros((size, size), np.uint8)
        top, left = rng.integers(0, size // 2, 2)
        mask[top : top + size // 2, left : left + size // 2] = 255
        image = rng.integers(0, 120, (size, size, 3)) + (mask[..., None] // 3)
        files[f'images/{i:02d}.png'] = _png(image.astype(np.uint8))
        files[f'masks/{i:02d}.png'] = _png(mask)
    return files


def _png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'png')
    return buffer.getvalue()


def add_views(cfg):
    """Let a config test the mean of an image and its mirror image."""
    flips = [dict(type='RandomFlip', prob=prob) for prob in (0.0, 1.0)]
    after = [[dict(type='LoadBinaryAnnotations')], [dict(type='PackSegInputs')]]
    cfg.tta_pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='TestTimeAug', transforms=[flips, *after]),
    ]
    cfg.tta_model = dict(type='BinarySegTTAModel')


class Toy:
    """A tiny data set on disk and configs of a tiny network that trains on it."""

    def __init__(self, root):
        self.root = root
        write_images(root / 'train', 10, seed=0)
        write_images(root / 'val', 5, seed=1)

    def loader(self, split, batch_size, train):
        load = dict(type='LoadBinaryAnnotations')
        return dict(
            batch_size=batch_size,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=train),
            dataset=dict(
                type='SODDataset',
                data_root=str(self.root / split),
                data_prefix=dict(img_path='images', seg_map_path='masks'),
                pipeline=[
                    dict(type='LoadImageFromFile'),
                    load,
                    dict(type='PackSegInputs'),
                ],
            ),
        )

    def head(self, channels=1, index=1, **loss):
        return dict(
            type='FCNHead',
            in_channels=4 if index else 8,
            in_index=index,
            channels=4,
            num_convs=1,
            concat_input=False,
            dropout_ratio=0,
            num_classes=2,
            **(dict(out_channels=1, threshold=0.5) if channels == 1 else {}),
            norm_cfg=dict(type='GN', num_groups=2),
            loss_decode=dict(type='SCBCELoss', **loss),
        )

    def over_confident(self, cfg):
        """Let the network begin with objects everywhere, so that levels by band move.

        Its IoU is the share of the objects, 1/4.
        """
        cfg.model.decode_head.init_cfg = dict(
            type='Normal', std=0.01, bias=3.0, override=dict(name='conv_seg')
        )
        return cfg

    def config(self, work_dir, by_epoch=True, channels=1, auxiliary=False, **overrides):
        """Three epochs of five iterations, or fifteen iterations."""
        norm = dict(type='GN', num_groups=2)
        loop = (
            dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=1)
            if by_epoch
            else dict(type='IterBasedTrainLoop', max_iters=15, val_interval=5)
        )
        train = self.loader('train', 2, train=True)
        if not by_epoch:
            train['sampler'] = dict(type='InfiniteSampler', shuffle=True)
        cfg = dict(
            default_scope='mmseg',
            custom_imports=dict(imports=['mmaslp']),
            work_dir=str(work_dir),
            # Loggers and message hubs are kept by name for the life of the process.
            experiment_name=f'toy_{uuid.uuid4().hex}',
            model=dict(
                type='EncoderDecoder',
                data_preprocessor=dict(
                    type='SegDataPreProcessor',
                    mean=[100.0] * 3,
                    std=[50.0] * 3,
                    bgr_to_rgb=True,
                    size=(16, 16),
                    test_cfg=dict(size_divisor=2),
                ),
                backbone=dict(
                    type='UNet',
                    base_channels=4,
                    num_stages=2,
                    strides=(1, 1),
                    enc_num_convs=(1, 1),
                    dec_num_convs=(1,),
                    downsamples=(True,),
                    enc_dilations=(1, 1),
                    dec_dilations=(1,),
                    norm_cfg=norm,
                ),
                decode_head=self.head(channels),
                test_cfg=dict(mode='whole'),
                train_cfg=dict(),
            ),
            train_dataloader=train,
            val_dataloader=self.loader('val', 2, train=False),
            test_dataloader=self.loader('val', 1, train=False),
            # Diagrams take more time than all else; tests of them say draw=None.
            val_evaluator=[dict(type='CalibrationMetric', draw=False)],
            test_evaluator=[dict(type='CalibrationMetric', draw=False)],
            train_cfg=loop,
            val_cfg=dict(type='ValLoop'),
            test_cfg=dict(type='TestLoop'),
            optim_wrapper=dict(
                type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-3)
            ),
            default_hooks=dict(
                logger=dict(
                    type='LoggerHook', interval=1, log_metric_by_epoch=by_epoch
                ),
                checkpoint=dict(
                    type='CheckpointHook',
                    by_epoch=by_epoch,
                    interval=1 if by_epoch else 5,
                ),
            ),
            log_processor=dict(by_epoch=by_epoch, window_size=1),
            custom_hooks=[
                dict(
                    type='ASLPHook',
                    levels='image',
                    rule='MC',
                    warmup_epochs=1,
                    log_interval=1,
                    draw_histogram=False,  # half of what is left of the time
                )
            ],
            randomness=dict(seed=0),
            log_level='WARNING',
        )
        if auxiliary:
            cfg['model']['auxiliary_head'] = self.head(index=0, loss_weight=0.4)
        cfg = Config(cfg)
        cfg.merge_from_dict(overrides)
        return cfg
