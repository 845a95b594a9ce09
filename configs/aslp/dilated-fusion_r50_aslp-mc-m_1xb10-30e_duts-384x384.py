_base_ = './dilated-fusion_r50_bce_1xb10-30e_duts-384x384.py'
model = dict(decode_head=dict(loss_decode=dict(beta='M')))
custom_hooks = [dict(type='ASLPHook', levels='image', rule='MC', warmup_epochs=5)]
