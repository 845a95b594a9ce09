_base_ = './bce.py'
custom_hooks = [dict(type='ASLPHook', rule='FB', regions='border')]
