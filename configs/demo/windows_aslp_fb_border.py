_base_ = './windows.py'
custom_hooks = [dict(type='ASLPHook', levels='border'), dict(type='CalibratorHook')]
