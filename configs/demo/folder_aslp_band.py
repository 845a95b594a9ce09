_base_ = './folder_bce.py'
custom_hooks = [dict(type='ASLPHook', levels='band')]
