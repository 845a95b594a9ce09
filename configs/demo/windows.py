_base_ = './bce.py'
# Now and then a window of an image that holds no object, in place of the image.
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadBinaryAnnotations'),
            dict(type='ObjectFreeCrop'),
            dict(type='Resize', scale=(96, 96)),
            dict(type='PackSegInputs'),
        ]
    )
)
