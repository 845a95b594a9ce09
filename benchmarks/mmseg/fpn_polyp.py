# A stock config of MMSegmentation, with an encoder whose ImageNet weights come from the
# Python index, 192 pixels and 12 epochs. It has cross entropy of two channels, and the
# data of ADE20K: `mmaslp doctor --data --patch` changes both (benchmarks/mmseg.sh).
_base_ = 'mmseg::sem_fpn/fpn_r50_4xb4-160k_ade20k-512x512.py'
custom_imports = dict(imports=['mmseg_encoder'])
size = (192, 192)
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=size),
    backbone=dict(_delete_=True, type='EfficientNetLite0'),
    neck=dict(in_channels=[24, 40, 112, 320], out_channels=64),
    decode_head=dict(
        in_channels=[64, 64, 64, 64],
        channels=64,
        num_classes=2,
        norm_cfg=dict(type='BN', requires_grad=True),
    ),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(pipeline=test_pipeline),
)
test_dataloader = val_dataloader
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)
)
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0, begin=0, end=12)]
train_cfg = dict(
    _delete_=True, type='EpochBasedTrainLoop', max_epochs=12, val_interval=1
)
default_hooks = dict(
    logger=dict(interval=10, log_metric_by_epoch=True),
    checkpoint=dict(_delete_=True, type='CheckpointHook', interval=12),
)
randomness = dict(seed=0)
