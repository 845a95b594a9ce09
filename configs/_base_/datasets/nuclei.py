# Nuclei in stained tissue, part of the package: nothing to download.
dataset_type = 'DemoNucleiDataset'
kind = 'stained'
# Smaller than the files, which have 256 pixels: a training takes a minute on one core.
scale = (96, 96)
factor = 0.375

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadBinaryAnnotations'),
    dict(type='Resize', scale=scale),
    dict(type='PackSegInputs'),
]
# The mask comes after Resize: metrics compare at the size of the file.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale_factor=factor, keep_ratio=True),
    dict(type='LoadBinaryAnnotations'),
    dict(type='PackSegInputs'),
]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale_factor=scale, keep_ratio=True)
                for scale in (0.3, 0.375, 0.45)
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

# Of what is measured, all but the split.
measured = dict(type=dataset_type, kind=kind, pipeline=test_pipeline, test_mode=True)

train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, split='train', kind=kind, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='val', **measured),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', **measured),
)

val_evaluator = [
    dict(type='CalibrationMetric'),
    dict(type='IoUMetric', iou_metrics=['mIoU']),
]
test_evaluator = val_evaluator

# Further test sets by name, for mmaslp test: windows without a nucleus.
test_sets = dict(empty=dict(split='empty', **measured))
