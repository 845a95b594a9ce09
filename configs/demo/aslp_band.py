_base_ = './bce.py'
# The recipe: levels by band while it trains, a calibrator when it ends.
custom_hooks = [dict(type='ASLPHook', levels='band'), dict(type='CalibratorHook')]
