"""The loop of the README, run as it stands, against a run of the hook."""

import copy
import io
import re
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmaslp.core import CalibrationHistogram
from mmaslp.hosts.mmseg.hooks import ASLPHook

README = Path(__file__).resolve().parents[1] / 'README.md'
EPOCHS = 8


# The toy network is less confident than accurate: feedback lowers high levels.
VARIANTS = [dict(rule='FB', alpha=0.45), dict(rule='MC', alpha=0.0)]


def loop():
    """The block of the README that holds the training loop."""
    blocks = re.findall(r'```python\n(.*?)```', README.read_text(), re.DOTALL)
    (block,) = (b for b in blocks if 'aslp.update(draw)' in b)
    return block


class Batches(Hook):
    """Notes the batches of a run and the levels after every iteration."""

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
        names = [s.img_path for s in data_batch['data_samples']]
        self.epochs[-1].append((data['inputs'], labels, names))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.levels.append(self.hook.aslp.levels)


class Loader:
    """Gives the batches of the run again, epoch by epoch."""

    def __init__(self, epochs):
        self.epochs = epochs
        self.length = len(epochs[0])

    def __len__(self):
        return self.length

    def __iter__(self):
        return iter(self.epochs.pop(0))


def run_readme(recorded, runner, variant, state=None, first=0, epochs=EPOCHS):
    """Execute the block; return its names and the levels of every iteration."""
    levels, saved = [], {}
    model = copy.deepcopy(recorded.start)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    if state is not None:
        model.load_state_dict(state['network'])
        optimizer.load_state_dict(state['optimizer'])

    def network(images):
        model.train()
        return model.decode_head(model.extract_feat(images))

    def validate(network):
        model.eval()
        histogram = CalibrationHistogram()
        with torch.no_grad():
            for batch in runner.val_loop.dataloader:
                for sample in model.val_step(batch):
                    histogram.update(sample.seg_logits.data, sample.gt_sem_seg.data)
        metrics = histogram.compute()
        return metrics['acc'], metrics['conf']

    def save(epoch, network, optimizer, aslp):
        content = dict(
            network=model.state_dict(), optimizer=optimizer.state_dict(), aslp=aslp
        )
        file = io.BytesIO()
        torch.save(content, file)
        file.seek(0)
        saved[epoch] = torch.load(file, weights_only=True)

    names = dict(
        ids=sorted({n for epoch in recorded.epochs for *_, ns in epoch for n in ns}),
        loader=Loader([list(epoch) for epoch in recorded.epochs[first:epochs]]),
        network=network,
        optimizer=optimizer,
        validate=validate,
        save=save,
        checkpoint=state,
        first_epoch=first,
        epochs=epochs,
    )
    block = loop().replace('aslp.update(draw)', 'aslp.update(draw); note(aslp.levels)')
    options = ', '.join(f'{key}={value!r}' for key, value in variant.items())
    assert "rule='FB'" in block
    block = block.replace("rule='FB'", options)
    exec(block, {**names, 'note': levels.append})
    return levels, saved


@pytest.fixture(params=VARIANTS, ids=lambda variant: variant['rule'])
def recorded(request, toy, tmp_path):
    hook = dict(type='ASLPHook', **request.param)
    cfg = toy.config(tmp_path / 'run', custom_hooks=[hook])
    cfg.train_cfg.max_epochs = EPOCHS
    cfg.train_dataloader.batch_size = 3  # the last batch of an epoch is smaller
    runner, batches = Runner.from_cfg(cfg), Batches()
    runner.register_hook(batches)
    runner.train()
    return runner, batches, request.param


def test_the_loop_of_the_readme_moves_every_level_as_the_hook_does(recorded):
    runner, batches, variant = recorded
    levels, _ = run_readme(batches, runner, variant)
    assert len(levels) == len(batches.levels) == 4 * EPOCHS
    for ours, theirs in zip(levels, batches.levels):
        assert ours == pytest.approx(theirs, abs=1e-9)
    ends = set(levels[-1].values())
    assert variant['alpha'] not in ends
    # Levels that feedback only lowers stay equal; the processor's rounding decides.
    assert len(ends) > 1 or variant['rule'] == 'FB'


def test_the_loop_resumes_bit_by_bit(recorded):
    runner, batches, variant = recorded
    whole, _ = run_readme(batches, runner, variant)
    first, saved = run_readme(batches, runner, variant, epochs=6)
    second, _ = run_readme(batches, runner, variant, saved[5], first=6)
    assert first + second == whole


def test_the_method_takes_seven_lines():
    lines = [line for line in loop().splitlines() if 'import' not in line]
    lines = [line for line in lines if 'save(' not in line]
    assert sum(bool(re.search(r'\b(aslp|criterion|draw)\b', s)) for s in lines) == 7
