import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, HOOKS, MODELS

from tests.configs import load_config

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(
    p
    for p in (ROOT / 'configs').rglob('*.py')
    if '_base_' not in p.relative_to(ROOT / 'configs').parts
)


def bases(path):
    match = re.search(r'^_base_ = (\[.*?\]|\'.*?\')', path.read_text(), re.M | re.S)
    if not match:
        return []
    return [(path.parent / b).resolve() for b in re.findall(r"'(.+?)'", match[1])]


def depth(path):
    return 1 + max((depth(b) for b in bases(path)), default=0)


def one_of_each_network():
    """The other configs of a network differ in the loss and the hook."""
    known = set()
    for path in CONFIGS:
        network = path.stem.split('_')[0]
        marks = [pytest.mark.release] * (network in known)
        known.add(network)
        yield pytest.param(path, marks=marks, id=str(path.relative_to(ROOT)))


@pytest.mark.parametrize('path', one_of_each_network())
def test_config_builds(path):
    assert depth(path) <= 3
    assert 'mmseg::' not in path.read_text()
    cfg = load_config(str(path))
    init_default_scope(cfg.default_scope)
    cfg.model.pretrained = None
    # Weights are not looked at; MiT reads numbers of a tensor, as meta cannot.
    reads = cfg.model.backbone.type == 'MixVisionTransformer'
    with torch.device('cpu' if reads else 'meta'):
        model = MODELS.build(cfg.model)
    heads = getattr(model, 'decode_head', None)
    heads = list(heads) if cfg.model.type == 'CascadeEncoderDecoder' else [heads]
    if getattr(model, 'auxiliary_head', None) is not None:
        heads.append(model.auxiliary_head)
    for head in heads:
        assert type(head.loss_decode).__name__ == 'SCBCELoss'
        assert head.num_classes == 2
        assert head.out_channels == 2 or head.threshold == 0.5
    for hook in cfg.get('custom_hooks', []):
        if hook['type'] == 'ASLPHook':
            assert hook['levels'] in ('image_band', 'band') or 'rule' in hook
        HOOKS.build(hook)
    kinds = [m['type'] for m in cfg.val_evaluator]
    assert 'CalibrationMetric' in kinds
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        transforms = [t['type'] for t in loader.dataset.pipeline]
        assert 'LoadBinaryAnnotations' in transforms
        assert 'LoadAnnotations' not in transforms
        assert DATASETS.get(loader.dataset.type).__module__.startswith('mmaslp')


def test_variants_say_what_their_name_says():
    for path in CONFIGS:
        match = re.search(r'aslp-(mc|me|fb)-(hi|si|m|dm)_', path.stem)
        if not match:
            continue
        cfg = Config.fromfile(path)
        heads = cfg.model.decode_head
        heads = heads if isinstance(heads, list) else [heads]
        heads = [*heads, *filter(None, [cfg.model.get('auxiliary_head')])]
        assert cfg.custom_hooks[0].rule == match[1].upper()
        assert {h.loss_decode.get('beta', 'HI') for h in heads} == {match[2].upper()}


def test_the_reference_by_region_validates_after_every_epoch():
    folder = ROOT / 'configs' / 'aslp'
    paper, ours = (
        Config.fromfile(folder / name) for name in ('unet_duts.py', 'unet_duts_band.py')
    )
    paper.pop('custom_hooks')
    hook = dict(type='ASLPHook', levels='band')
    assert ours.pop('custom_hooks') == [hook]
    assert ours.train_cfg.val_interval == 1
    assert paper.to_dict() == ours.to_dict()


def test_schedule_decays_as_the_released_code_does():
    """``lr *= 0.95 ** (epoch // 10)`` after every epoch, counted from 1."""
    import torch
    from mmengine.optim.scheduler import ExponentialLR

    cfg = Config.fromfile(ROOT / 'configs' / 'aslp' / 'unet_duts.py')
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=2.5e-5)
    schedulers = [
        ExponentialLR(optimizer, **{k: v for k, v in s.items() if k != 'type'})
        for s in cfg.param_scheduler
    ]
    rate = 2.5e-5
    for epoch in range(1, 31):
        assert optimizer.param_groups[0]['lr'] == pytest.approx(rate, rel=1e-6), epoch
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
        rate *= 0.95 ** (epoch // 10)
