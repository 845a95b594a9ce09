"""What is found in the heads of a config."""

import pytest

from mmaslp.hosts.mmseg.checks.config import check_config


def set_head(**values):
    return lambda cfg: cfg.model.decode_head.update(values)


def to_cascade(cfg):
    cfg.model.type = 'CascadeEncoderDecoder'
    cfg.model.decode_head = [cfg.model.decode_head, cfg.model.decode_head]


def to_k_net(cfg):
    head = dict(cfg.model.decode_head)
    cfg.model.decode_head = dict(type='IterativeDecodeHead', kernel_generate_head=head)


def ohem(cfg):
    cfg.model.decode_head.sampler = dict(type='OHEMPixelSampler', thresh=0.7)


@pytest.mark.parametrize(
    ('change', 'level', 'words', 'remedy'),
    [
        (set_head(out_channels=3), 'error', '3 channels', 'out_channels = 1'),
        (set_head(threshold=0.3), 'warning', 'above 0.3', '.threshold = 0.5'),
        (to_cascade, 'error', 'cascades', 'decode_head[0].out_channels = 2'),
        (to_k_net, 'error', 'K-Net', 'model.decode_head.out_channels = 2'),
        (set_head(type='PointHead'), 'error', 'PointRend', 'out_channels = 2'),
        (ohem, 'error', 'OHEMPixelSampler', 'min_kept'),
    ],
)
def test_heads_that_cannot_predict(toy, tmp_path, change, level, words, remedy):
    cfg = toy.config(tmp_path)
    change(cfg)
    findings = [f for f in check_config(cfg) if 'acc_seg' not in f.message]
    assert {level} == {finding.level for finding in findings}
    assert words in findings[0].message and remedy in findings[0].remedy


def test_two_channels_have_none_of_these_limits(toy, tmp_path):
    cfg = toy.config(tmp_path, channels=2)
    ohem(cfg)
    assert check_config(cfg) == []
    to_cascade(cfg)
    assert check_config(cfg) == []
