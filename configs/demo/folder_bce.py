# A small U-Net on your own folder of images and masks (data_root, three times below).
_base_ = [
    '../_base_/models/fcn_unet_s4-d8_small.py',
    '../_base_/datasets/sod_folder.py',
    '../_base_/schedules/schedule_demo.py',
    '../_base_/default_runtime.py',
]
train_cfg = dict(max_epochs=40, val_interval=1)
param_scheduler = [
    dict(type='PolyLR', power=0.9, eta_min=1e-5, begin=0, end=40, by_epoch=True)
]
