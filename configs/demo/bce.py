# Plain BCE: SCBCELoss with its default alpha of 0; a calibrator when it ends.
# 16 images, no augmentation: BCE becomes over-confident, as it does with few images.
_base_ = [
    '../_base_/models/fcn_unet_s4-d8_small.py',
    '../_base_/datasets/nuclei.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
model = dict(
    decode_head=dict(
        # PyTorch's own. From MMSegmentation's, N(0, 0.01^2), the features of some
        # pixels die with some seeds: all of these get one probability.
        init_cfg=dict(
            type='Kaiming',
            a=5**0.5,
            mode='fan_in',
            nonlinearity='leaky_relu',
            distribution='uniform',
            override=dict(name='conv_seg'),
        ),
    )
)
optim_wrapper = dict(optimizer=dict(lr=6e-3))
custom_hooks = [dict(type='CalibratorHook')]
