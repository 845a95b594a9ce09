# The paper's setting: the released network, augmentation and schedule, trained with
# BCE. The other rows of docs/mmseg.md inherit this file.
_base_ = [
    '../_base_/models/dilated_fusion_r50.py',
    '../_base_/datasets/duts.py',
    '../_base_/schedules/schedule_30e.py',
    '../_base_/default_runtime.py',
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadBinaryAnnotations'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomCenterCrop', border=30),
    # The corners are black, and background.
    dict(type='RandomRotate', prob=0.2, degree=15.0, pad_val=0, seg_pad_val=0),
    dict(type='Resize', scale=(384, 384), keep_ratio=False),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
# `--cfg-options test_evaluator.0.protocol=released test_evaluator.1.protocol=released`
# measures as the released code does.
test_evaluator = [dict(type='CalibrationMetric'), dict(type='SODMetric')]
