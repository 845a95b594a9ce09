_base_ = './bce.py'
custom_hooks = [dict(type='ASLPHook', levels='border')]
# Only a validation moves levels by region.
train_cfg = dict(val_interval=1)
