# A small U-Net on your own folder of images and masks (data_root, three times below).
_base_ = [
    '../_base_/models/fcn_unet_s4-d8_small.py',
    '../_base_/datasets/sod_folder.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
train_cfg = dict(val_interval=1)
