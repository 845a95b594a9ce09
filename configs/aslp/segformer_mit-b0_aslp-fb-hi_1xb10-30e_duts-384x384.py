_base_ = './segformer_mit-b0_aslp-mc-hi_1xb10-30e_duts-384x384.py'
custom_hooks = [dict(type='ASLPHook', levels='image', rule='FB', warmup_epochs=5)]
