_base_ = './bce.py'
# ASLP as in the paper: a level for each training image, by the rule MC.
custom_hooks = [
    dict(type='ASLPHook', levels='image', rule='MC', warmup_epochs=5),
    dict(type='CalibratorHook'),
]
