# A small U-Net on your own folder of images and masks: --cfg-options data_root=... does
# not reach into the dataloaders, so set the three data_root keys below in a copy.
_base_ = [
    '../_base_/models/fcn_unet_s4-d8_small.py',
    '../_base_/datasets/sod_folder.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
