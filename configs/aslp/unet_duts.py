# The reference: U-Net on DUTS-TR (9,553 images, 1,000 more for validation), hard
# inversion, levels learned by the paper's MC rule; unet_duts_fb.py has the FB rule,
# unet_duts_band.py levels by band, and
# unet_duts_image_band.py levels by image and band.
# `mmaslp prepare data/DUTS-TR --layout DUTS-TR --val-list DUTS-TR-Validation.txt`
# checks and divides the data.
_base_ = [
    '../_base_/models/fcn_unet_s5-d16.py',
    '../_base_/datasets/duts.py',
    '../_base_/schedules/schedule_30e.py',
    '../_base_/default_runtime.py',
]
custom_hooks = [dict(type='ASLPHook', levels='image', rule='MC', warmup_epochs=5)]
