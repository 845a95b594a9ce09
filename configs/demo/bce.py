# Plain BCE: SCBCELoss with its default alpha of 0 and no hook.
_base_ = [
    '../_base_/models/fcn_unet_s4-d8_small.py',
    '../_base_/datasets/synthetic_sod.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
