"""The loop of docs/pytorch.md, run as it stands, against a run of the hook."""

import copy
import io
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmaslp import (
    ASLPHook,
    BandLevels,
    BandTable,
    CalibrationHistogram,
    ImageBandLevels,
    ImageLevels,
    SelfCalibratingBCE,
)
from mmaslp.evaluation.evaluator import Evaluator
from mmaslp.training.sessions import CalibratorSession
from tests.toy import Toy

ROOT = Path(__file__).resolve().parents[1]
EPOCHS, WARMUP = 8, 2


def block_of(page):
    """The block of a page that gives a validation to the levels."""
    text = (ROOT / page).read_text()
    blocks = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    return next(block for block in blocks if 'levels.observe(' in block)


class Network:
    """What the loop asks of a network, of a segmentor."""

    def __init__(self, model):
        self.model = model
        self.train, self.eval = model.train, model.eval
        self.state_dict = model.state_dict

    def __call__(self, images):
        return self.model.decode_head(self.model.extract_feat(images))


class Batches(Hook):
    """Notes the batches of a run and the levels after every validation."""

    priority = 'VERY_LOW'

    def before_train(self, runner):
        self.hook = next(h for h in runner.hooks if isinstance(h, ASLPHook))
        self.start = copy.deepcopy(runner.model)
        self.epochs, self.levels = [], []

    def before_train_epoch(self, runner):
        self.epochs.append([])

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        data = runner.model.data_preprocessor(copy.deepcopy(data_batch), True)
        labels = torch.cat([s.gt_sem_seg.data for s in data['data_samples']])
        self.epochs[-1].append((data['inputs'], labels))

    def after_val_epoch(self, runner, metrics=None):
        self.levels.append(self.hook.levels.levels.tolist())


class Loader:
    """Gives the batches of the run again, epoch by epoch."""

    def __init__(self, epochs):
        self.epochs = epochs

    def __iter__(self):
        return iter(self.epochs.pop(0))


def run_loop(recorded, runner, state=None, first=0, epochs=EPOCHS, **names):
    """Execute the block; return the levels after every validation and the state.

    ``names`` take the place of those that the block imports.
    """
    seen = []
    model = copy.deepcopy(recorded.start)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    if state is not None:
        model.load_state_dict(state['network'])
        optimizer.load_state_dict(state['optimizer'])

    def batches_of(data, training=False):
        data = model.data_preprocessor(data, training)
        return data['inputs'], torch.cat(
            [s.gt_sem_seg.data for s in data['data_samples']]
        )

    def start(levels):
        if state is not None:
            levels.load_state_dict(state['levels'])

    names |= dict(
        loader=Loader([list(epoch) for epoch in recorded.epochs[first:epochs]]),
        network=Network(model),
        optimizer=optimizer,
        val_loader=[batches_of(batch) for batch in runner.val_loop.dataloader],
        epochs=epochs - first,
        start=start,
        note=lambda levels: seen.append(levels.levels.tolist()),
    )
    block = block_of('docs/pytorch.md')
    block = block.replace('warmup=epochs // 3', f'warmup={WARMUP}')
    observe = 'levels.observe(table)'
    block = block.replace(observe, f'{observe}; note(levels)')
    block = block.replace('for epoch in', 'start(levels)\nfor epoch in')
    imports = 'from mmaslp import BandTable, ImageBandLevels, SelfCalibratingBCE'
    assert imports in block
    for name in ('ImageBandLevels', 'SelfCalibratingBCE'):
        if name in names:
            imports = imports.replace(f', {name}', '')
    block = re.sub('from mmaslp import .*', imports, block)
    exec(block, names)
    content = dict(
        network=model.state_dict(),
        optimizer=optimizer.state_dict(),
        levels=names['levels'].state_dict(),
    )
    file = io.BytesIO()
    torch.save(content, file)
    file.seek(0)
    return seen, torch.load(file, weights_only=True)


@pytest.fixture(scope='module')
def recorded(tmp_path_factory):
    toy = Toy(tmp_path_factory.mktemp('readme'))
    # The hook counts iterations: the validation that ends the warm-up moves the levels.
    hook = dict(type='ASLPHook', levels='image_band', warmup_epochs=WARMUP + 1)
    cfg = toy.over_confident(toy.config(toy.root / 'run', custom_hooks=[hook]))
    cfg.train_cfg.max_epochs = EPOCHS
    cfg.train_dataloader.batch_size = 3  # the last batch of an epoch is smaller
    runner, batches = Runner.from_cfg(cfg), Batches()
    runner.register_hook(batches)
    runner.train()
    return runner, batches


def test_the_loop_moves_levels_as_the_hook_does(recorded):
    runner, batches = recorded
    levels, _ = run_loop(batches, runner)
    assert len(levels) == len(batches.levels) == EPOCHS
    for ours, theirs in zip(levels, batches.levels):
        assert ours == pytest.approx(theirs, abs=1e-9)
    assert not any(levels[WARMUP - 1])
    assert min(levels[WARMUP]) > 0


def test_the_loop_resumes_bit_by_bit(recorded):
    runner, batches = recorded
    whole, _ = run_loop(batches, runner)
    first, state = run_loop(batches, runner, epochs=6)
    second, _ = run_loop(batches, runner, state, first=6)
    assert first + second == whole


class StillLevels(ImageBandLevels):
    """Levels that stay at 0."""

    def observe(self, table, whole=False):
        super().observe(table, whole)
        self.levels.zero_()


def torch_bce(levels):
    """The loss of torch in the place of ours."""

    def loss(logits, labels):
        total = F.binary_cross_entropy_with_logits(
            logits[:, 0], labels.float(), reduction='sum'
        )
        return total / labels.numel()

    return loss


def test_levels_of_0_train_as_torch_does_bit_for_bit(recorded):
    runner, batches = recorded
    losses = [
        SelfCalibratingBCE,
        lambda levels: SelfCalibratingBCE(),
        torch_bce,
    ]
    ends = []
    for loss in losses:
        names = dict(ImageBandLevels=StillLevels, SelfCalibratingBCE=loss)
        torch.manual_seed(0)
        levels, state = run_loop(batches, runner, **names)
        assert not any(map(any, levels))
        ends.append([*state['network'].values(), torch.get_rng_state()])
    for weights in zip(*ends, strict=True):
        assert torch.equal(weights[0], weights[1])
        assert torch.equal(weights[0], weights[2])


def test_what_begins_in_inference_mode_goes_on_outside():
    label = torch.zeros(4, 16, 16)
    label[..., 8:] = 1
    prob = 0.1 + 0.8 * label
    with torch.inference_mode():
        table, histogram, levels = BandTable(), CalibrationHistogram(), BandLevels()
        images, session = ImageLevels(['a']), CalibratorSession()
        histogram.load_state_dict(CalibrationHistogram().state_dict())
        evaluator = Evaluator()
        for each in (table, histogram):
            each.update(prob, label)
        evaluator.add('a', prob[0], label[0])
    whole = BandTable()
    whole.update(prob, label)
    for each in (table, histogram):
        each.update(prob, label)
    table.merge(whole)
    images.sample(['a'], 0)
    session.update(prob, label)
    evaluator.add('b', prob[1], label[1])
    levels.observe(table)
    assert table.count == 3 * whole.count
    assert len(evaluator.result('A', 'x', resamples=0).images) == 2
