# The reference with the FB rule: levels move by the gap between the network's mean
# confidence and its accuracy on the validation set, which CalibrationMetric measures.
_base_ = './unet_duts.py'
custom_hooks = [dict(type='ASLPHook', levels='image', rule='FB', warmup_epochs=5)]
