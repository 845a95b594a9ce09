# In expectation label smoothing of 0.1: eps = alpha * beta.
_base_ = './dilated-fusion_r50_bce_1xb10-30e_duts-384x384.py'
model = dict(decode_head=dict(loss_decode=dict(beta='HI', alpha=0.05)))
custom_hooks = [dict(type='ASLPHook', levels='image', rule='fixed')]
