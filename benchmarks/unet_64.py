"""The demo's network on your own folders at 64 px.

It has a stride of 2 in its first stage and 16 base channels. It costs as much as 8
channels without the stride, and has four times the parameters.
"""

_base_ = '../configs/demo/folder_bce.py'
model = dict(
    backbone=dict(base_channels=16, strides=(2, 1, 1, 1)),
    decode_head=dict(in_channels=16, channels=16),
)
crop_size = (64, 64)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadBinaryAnnotations'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='LoadBinaryAnnotations'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
optim_wrapper = dict(optimizer=dict(lr=6e-3))
train_cfg = dict(max_epochs=24, val_interval=2)
param_scheduler = [
    dict(type='PolyLR', power=0.9, eta_min=1e-5, begin=0, end=24, by_epoch=True)
]
