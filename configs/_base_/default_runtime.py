# The plugin is named in every config through this file; mmseg itself is the scope.
custom_imports = dict(imports=['mmaslp'])
default_scope = 'mmseg'
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(
    type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer'
)
log_processor = dict(by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
# MMSegmentation's SegTTAModel applies the sigmoid twice to one-channel heads.
tta_model = dict(type='BinarySegTTAModel')
