# The reference with levels by band: a level for each band of distance from the
# border, moved by the gap of the same band of the predicted border on validation, which
# the schedule measures after every epoch: twenty steps after warm-up. Test the last
# checkpoint; the best one by accuracy may be from before the levels moved.
_base_ = './unet_duts.py'
custom_hooks = [dict(type='ASLPHook', levels='band')]
