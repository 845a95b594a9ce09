_base_ = './bce.py'
custom_hooks = [dict(type='ASLPHook', rule='FB', warmup_epochs=5)]
