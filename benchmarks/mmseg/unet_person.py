# MMSegmentation's U-Net s5-d16 with an eighth of its channels, 128 pixels, on a CPU:
#   python tools/train.py benchmarks/mmseg/unet_person.py --work-dir RUNS/unet_person
#   python tools/test.py benchmarks/mmseg/unet_person.py RUNS/unet_person/epoch_15.pth \
#       --eval ece iou
_base_ = [
    '../../configs/_base_/models/fcn_unet_s5-d16.py',
    '../../configs/_base_/default_runtime.py',
]
size = (128, 128)
model = dict(
    data_preprocessor=dict(size=size),
    backbone=dict(base_channels=8),
    decode_head=dict(in_channels=8, channels=8),
    auxiliary_head=dict(in_channels=16, channels=8),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadBinaryAnnotations'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=size, keep_ratio=False),
    dict(type='LoadBinaryAnnotations'),
    dict(type='PackSegInputs'),
]
data = '../shared/data/ccp_person_320'
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='SODDataset', data_root=data, split='train', pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SODDataset', data_root=data, split='val', pipeline=test_pipeline
    ),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SODDataset', data_root=data, split='test', pipeline=test_pipeline
    ),
)
test_sets = dict(
    textures=dict(
        type='SODDataset',
        data_root='../shared/data/dtd_ood_320',
        split='test',
        pipeline=test_pipeline,
    )
)
val_evaluator = [
    dict(type='CalibrationMetric', draw=False),
    dict(type='IoUMetric', iou_metrics=['mIoU']),
]
test_evaluator = val_evaluator
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [
    dict(type='PolyLR', power=0.9, eta_min=1e-5, begin=0, end=15, by_epoch=True)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=15, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=20, log_metric_by_epoch=True),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=True, interval=5, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
custom_hooks = [dict(type='CalibratorHook')]
randomness = dict(seed=0)
