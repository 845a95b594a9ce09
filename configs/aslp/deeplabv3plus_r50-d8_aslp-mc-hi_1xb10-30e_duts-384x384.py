_base_ = [
    '../_base_/models/deeplabv3plus_r50-d8.py',
    '../_base_/datasets/duts.py',
    '../_base_/schedules/schedule_30e.py',
    '../_base_/default_runtime.py',
]
custom_hooks = [dict(type='ASLPHook', levels='image', rule='MC', warmup_epochs=5)]
