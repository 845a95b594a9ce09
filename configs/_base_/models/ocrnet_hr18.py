# HRNet-W18 with OCR. Two channels: OCR gathers one context per class, and of one
# channel it would make a context of the foreground alone. The ImageNet weights are a
# download (offline: --cfg-options model.pretrained=None).
norm_cfg = dict(type='BN', requires_grad=True)
data_preprocessor = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_val=0,
    seg_pad_val=255,
    size=(384, 384),
)
head = dict(
    in_channels=[18, 36, 72, 144],
    in_index=(0, 1, 2, 3),
    input_transform='resize_concat',
    dropout_ratio=-1,
    num_classes=2,
    norm_cfg=norm_cfg,
    align_corners=False,
)
model = dict(
    type='CascadeEncoderDecoder',
    data_preprocessor=data_preprocessor,
    num_stages=2,
    pretrained='open-mmlab://msra/hrnetv2_w18',
    backbone=dict(
        type='HRNet',
        norm_cfg=norm_cfg,
        norm_eval=False,
        extra=dict(
            stage1=dict(
                num_modules=1,
                num_branches=1,
                block='BOTTLENECK',
                num_blocks=(4,),
                num_channels=(64,),
            ),
            stage2=dict(
                num_modules=1,
                num_branches=2,
                block='BASIC',
                num_blocks=(4, 4),
                num_channels=(18, 36),
            ),
            stage3=dict(
                num_modules=4,
                num_branches=3,
                block='BASIC',
                num_blocks=(4, 4, 4),
                num_channels=(18, 36, 72),
            ),
            stage4=dict(
                num_modules=3,
                num_branches=4,
                block='BASIC',
                num_blocks=(4, 4, 4, 4),
                num_channels=(18, 36, 72, 144),
            ),
        ),
    ),
    decode_head=[
        dict(
            type='FCNHead',
            channels=270,
            kernel_size=1,
            num_convs=1,
            concat_input=False,
            loss_decode=dict(type='SCBCELoss', loss_weight=0.4),
            **head,
        ),
        dict(
            type='OCRHead',
            channels=512,
            ocr_channels=256,
            loss_decode=dict(type='SCBCELoss', loss_weight=1.0),
            **head,
        ),
    ],
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
