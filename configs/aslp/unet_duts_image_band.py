# The reference with levels by image and band, which we hand out: the level of a band
# follows its gap on validation, and an image that the network gets wrong is smoothed
# more. Test the last checkpoint; the best one by accuracy may be from before the levels
# moved.
_base_ = './unet_duts.py'
custom_hooks = [dict(type='ASLPHook', levels='image_band')]
