# The released network: ResNet-50 and DilatedFusionNeck; the head is its last 1x1
# convolution. The ImageNet weights are a download (offline: --cfg-options
# model.pretrained=None).
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
model = dict(
    type='EncoderDecoder',
    data_preprocessor=data_preprocessor,
    pretrained='torchvision://resnet50',
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        dilations=(1, 1, 1, 1),
        strides=(1, 2, 2, 2),
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
    ),
    neck=dict(
        type='DilatedFusionNeck',
        in_channels=[256, 512, 1024, 2048],
        channels=256,
        dilations=(3, 6, 12, 18),
        mid_channels=128,
        out_channels=32,
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=32,
        in_index=0,
        channels=32,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        align_corners=False,
        init_cfg=None,
        loss_decode=dict(type='SCBCELoss', loss_weight=1.0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
