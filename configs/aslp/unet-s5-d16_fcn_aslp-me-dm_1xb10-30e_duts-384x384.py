_base_ = './unet_duts.py'
model = dict(
    decode_head=dict(loss_decode=dict(beta='DM')),
    auxiliary_head=dict(loss_decode=dict(beta='DM')),
)
custom_hooks = [dict(type='ASLPHook', levels='image', rule='ME', warmup_epochs=5)]
