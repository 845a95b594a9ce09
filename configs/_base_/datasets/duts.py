# DUTS-TR (train 9,553, val 1,000) and six test sets, unpacked below data_root. The lists
# are those of
# `mmaslp prepare data/DUTS-TR --layout DUTS-TR --val-list DUTS-TR-Validation.txt`.
dataset_type = 'SODDataset'
data_root = 'data'
crop_size = (384, 384)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadBinaryAnnotations'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
# The mask comes after Resize: metrics compare at the size of the file.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=crop_size, keep_ratio=False),
    dict(type='LoadBinaryAnnotations'),
    dict(type='PackSegInputs'),
]
graded_pipeline = [
    *test_pipeline[:2],
    dict(type='LoadBinaryAnnotations', graded=True),
    *test_pipeline[3:],
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=(size, size), keep_ratio=False)
                for size in (288, 384, 480)
            ],
            [
                dict(type='RandomFlip', prob=0.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
            ],
            [dict(type='LoadBinaryAnnotations')],
            [dict(type='PackSegInputs')],
        ],
    ),
]

train_dataloader = dict(
    batch_size=10,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        layout='DUTS-TR',
        ann_file='DUTS-TR/train.txt',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=10,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        layout='DUTS-TR',
        ann_file='DUTS-TR/val.txt',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=10,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        layout='DUTS-TE',
        pipeline=test_pipeline,
        test_mode=True,
    ),
)

val_evaluator = [
    dict(type='CalibrationMetric'),
    dict(type='IoUMetric', iou_metrics=['mIoU']),
]
test_evaluator = val_evaluator

# Further test sets by name, for mmaslp test.
test_sets = {
    name: dict(
        type=dataset_type,
        data_root=data_root,
        layout=name,
        # Masks of PASCAL-S are the votes of several people.
        pipeline=graded_pipeline if name == 'PASCAL-S' else test_pipeline,
        test_mode=True,
    )
    for name in ('DUT-OMRON', 'PASCAL-S', 'SOD', 'ECSSD', 'HKU-IS')
}
