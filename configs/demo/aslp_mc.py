_base_ = './bce.py'
custom_hooks = [dict(type='ASLPHook', levels='image', rule='MC', warmup_epochs=5)]
