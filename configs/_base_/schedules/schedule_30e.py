# The paper's schedule as far as its code shows it: Adam 2.5e-5, 30 epochs. The code
# multiplies the rate by 0.95 ** (epoch // 10) after every epoch, so the decay compounds:
# 2.5e-5 up to epoch 10, then a factor 0.95 an epoch, then 0.9025 an epoch.
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=2.5e-5))
param_scheduler = [
    dict(type='ExponentialLR', gamma=0.95, by_epoch=True, begin=9, end=20),
    dict(type='ExponentialLR', gamma=0.95**2, by_epoch=True, begin=19, end=31),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=30, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=True),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook',
        by_epoch=True,
        interval=1,
        max_keep_ckpts=3,
        save_best='calib/acc',
        rule='greater',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
)
randomness = dict(seed=1)
