"""The network and schedule of the prototypes by band, on your own folders at 64 px.

A U-Net of full resolution with 12 channels and 0.7 million weights (plain_unet.py),
batches of 16, Adam from 3e-3 down to 0.
"""

_base_ = 'unet_64.py'
custom_imports = dict(imports=['mmaslp', 'plain_unet'])
model = dict(
    backbone=dict(_delete_=True, type='PlainUNet', channels=12),
    data_preprocessor=dict(size_divisor=16, test_cfg=dict(size_divisor=16)),
    decode_head=dict(
        in_channels=12,
        in_index=0,
        channels=12,
        num_convs=0,
        # PyTorch's own. From the host's, N(0, 0.01^2), a head of one convolution ends
        # with all features below 0 and one probability for all pixels.
        init_cfg=dict(
            type='Kaiming',
            a=5**0.5,
            mode='fan_in',
            nonlinearity='leaky_relu',
            distribution='uniform',
            override=dict(name='conv_seg'),
        ),
    ),
)
train_dataloader = dict(batch_size=16, drop_last=True)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
train_cfg = dict(max_epochs=100, val_interval=5)
param_scheduler = [
    dict(
        type='PolyLR',
        power=0.9,
        eta_min=0.0,
        begin=0,
        end=100,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
