_base_ = './bce.py'
# What we hand out: levels by image and band while it trains, a calibrator when it ends.
custom_hooks = [
    dict(type='ASLPHook', levels='image_band'),
    dict(type='CalibratorHook'),
]
