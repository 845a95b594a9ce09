_base_ = './unet_duts.py'
model = dict(
    decode_head=dict(loss_decode=dict(beta='M')),
    auxiliary_head=dict(loss_decode=dict(beta='M')),
)
custom_hooks = [dict(type='ASLPHook', levels='image', rule='MC', warmup_epochs=5)]
