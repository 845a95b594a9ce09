"""Two and three processes on gloo against one process that visits the same images.

The file is also what the processes run: ``python FILE CONFIG RANK WORLD OUT``.
MMEngine's ``init_dist`` selects a CUDA device, so on a CPU the process group is made
here, before the runner, which then finds it and goes its ordinary way.
"""

import os
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import DATA_SAMPLERS, RUNNERS
from mmengine.runner import Runner

import mmaslp  # noqa: F401
from mmaslp import ASLPHook, SCBCELoss

# Divisible by neither number of processes: the sampler repeats images at the end.
NUM_IMAGES = 7
BATCH_SIZE = 2
START = 0.3


@DATA_SAMPLERS.register_module(force=True)  # it runs in children too
class RoundedSampler(DefaultSampler):
    """Visits in one process what ``multiple`` processes visit together."""

    def __init__(self, dataset, multiple=1, **kwargs):
        super().__init__(dataset, **kwargs)
        self.num_samples = -(-len(dataset) // multiple) * multiple
        self.total_size = self.num_samples


class Recorder(Hook):
    """Notes the images, their draws and all levels after every iteration."""

    priority = 'VERY_LOW'

    def before_train(self, runner):
        model = runner.model
        self.wrapper = type(model).__name__ if is_model_wrapper(model) else None
        self.hook = next(h for h in runner.hooks if isinstance(h, ASLPHook))
        self.start = self.hook.levels.alpha.clone()
        self.steps = []
        for module in model.modules():
            if isinstance(module, SCBCELoss):
                module.register_forward_pre_hook(self.before_loss)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        names = [s.img_path for s in data_batch['data_samples']]
        self.steps.append(dict(ids=names, draws=[]))

    def before_loss(self, loss, args):
        self.steps[-1]['draws'].append(loss.criterion.levels.pending.perturbed.tolist())

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.steps[-1]['alpha'] = self.hook.levels.alpha.clone()


def run(cfg):
    """Measure with the weights of the seed, then train; return what happened."""
    recorder = Recorder()
    if cfg.get('runner_type'):
        figures = None
        runner = RUNNERS.build(cfg)
    else:
        runner = Runner.from_cfg(cfg)
        figures = runner.test()
    runner.register_hook(recorder)
    runner.train()
    return dict(
        figures=figures,
        start=recorder.start,
        steps=recorder.steps,
        wrapper=recorder.wrapper,
    )


def config(toy, work_dir, world, launcher='none'):
    cfg = toy.config(work_dir, auxiliary=True, launcher=launcher)
    for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
        head.loss_decode.beta = 'DM'
    cfg.custom_hooks[0].update(alpha=START, eta=0.05)
    cfg.train_dataloader.dataset.indices = list(range(NUM_IMAGES))
    # The arithmetic of a convolution may depend on the number of images in the batch.
    cfg.val_dataloader.batch_size = 1
    if launcher == 'none':
        cfg.train_dataloader.batch_size = BATCH_SIZE * world
        cfg.train_dataloader.sampler = dict(type='RoundedSampler', multiple=world)
    else:
        # None instead of the CUDA device that the host would take.
        cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None)
    return cfg


def launch(cfg, tmp_path, name, world):
    """Run this file in `world` processes and load what each of them saw."""
    path, out = tmp_path / f'{name}.py', tmp_path / name
    cfg.dump(path)
    # Not at the top: the processes run this file, and find no tests to import from.
    from tests.scripts import Script

    ranks = [
        # The host collects results in ./.dist_test.
        Script(__file__, path, rank, world, out, cwd=tmp_path, GLOO_SOCKET_IFNAME='lo')
        for rank in range(world)
    ]
    done = [rank.wait() for rank in ranks]
    failed = [rank.stdout + rank.stderr for rank in done if rank.returncode]
    assert not failed, '\n'.join(failed)[-6000:]
    return [torch.load(f'{out}.{rank}') for rank in range(world)]


def visits(step):
    """Images of an iteration with their draw, which must be that of both heads."""
    main, auxiliary = step['draws']
    assert main == auxiliary
    return list(zip(step['ids'], main))


def assert_same_training(one, ranks):
    assert len(one['steps']) == 6
    draws = []
    for step, *parts in zip(one['steps'], *(r['steps'] for r in ranks), strict=True):
        for part in parts:
            assert torch.equal(part['alpha'], parts[0]['alpha'])
        deviation = (step['alpha'] - parts[0]['alpha']).abs().max().item()
        print(f'alpha, {len(ranks)} processes against 1: {deviation:.1e}')
        assert deviation <= 1e-6
        assert sorted(visits(step)) == sorted(v for p in parts for v in visits(p))
        draws += [drawn for _, drawn in visits(step)]
    assert 0 < sum(draws) < len(draws)
    moved = one['steps'][-1]['alpha'] - one['start']
    assert moved.abs().min() > 1e-3


@pytest.mark.parametrize('world', [2, pytest.param(3, marks=pytest.mark.release)])
def test_ddp_equals_one_process(toy, tmp_path, world):
    one = run(config(toy, tmp_path / 'one', world))
    cfg = config(toy, tmp_path / 'many', world, launcher='pytorch')
    ranks = launch(cfg, tmp_path, 'ranks', world)
    assert one['wrapper'] is None
    assert {r['wrapper'] for r in ranks} == {'MMDistributedDataParallel'}
    assert len(one['figures']) > 10
    for rank in ranks:
        assert rank['figures'] == one['figures']
    assert_same_training(one, ranks)


@pytest.mark.release
def test_fsdp_equals_one_process_and_saves_the_levels(toy, tmp_path):
    flexible = dict(runner_type='FlexibleRunner', env_cfg={})
    cfg = config(toy, tmp_path / 'one', 2)
    cfg.merge_from_dict(flexible)
    one = run(cfg)
    cfg = config(toy, tmp_path / 'many', 2, launcher='pytorch')
    cfg.pop('model_wrapper_cfg')
    wrapper = dict(type='MMFullyShardedDataParallel', device_id='cpu')
    flexible['strategy'] = dict(type='FSDPStrategy', model_wrapper=wrapper)
    cfg.merge_from_dict(flexible)
    ranks = launch(cfg, tmp_path, 'ranks', 2)
    assert {r['wrapper'] for r in ranks} == {'MMFullyShardedDataParallel'}
    assert_same_training(one, ranks)

    # The host's own resume fails (it calls FSDP.optim_state_dict_to_load by an order
    # of arguments that torch has changed), but every rank's file holds the levels.
    for rank in ranks:
        assert torch.equal(rank['saved'], rank['steps'][-1]['alpha'])


def main():
    config_path, rank, world, out = sys.argv[1:]
    os.environ.update(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE=world)
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{out}.group', rank=int(rank), world_size=int(world)
    )
    cfg = Config.fromfile(config_path)
    seen = run(cfg)
    if 'strategy' in cfg:  # a file of shards is read where its process group is
        path = f'{cfg.work_dir}/epoch_3.pth/rank{rank}.pth'
        hub = torch.load(path, weights_only=False)['message_hub']
        seen['saved'] = hub['runtime_info']['aslp']['levels']['alpha']
    torch.save(seen, f'{out}.{rank}')
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main()
