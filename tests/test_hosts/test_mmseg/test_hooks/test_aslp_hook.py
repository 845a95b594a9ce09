import csv
import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from PIL import Image

from mmaslp.core import ASLP, FB, MC, AlphaBank, Measured, update_alpha
from mmaslp.hosts.mmseg.checkpoint import allow_history_buffers
from mmaslp.hosts.mmseg.hooks import ASLPHook
from mmaslp.hosts.mmseg.losses.finding import SCBCELoss

LOOPS = pytest.mark.parametrize('by_epoch', [True, False], ids=['epoch', 'iter'])


class Recorder(Hook):
    """Notes what the losses and the hook did in every iteration."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.iters = []
        self.levels = []

    def before_train(self, runner):
        self.hook = aslp(runner)
        for loss in losses(runner):
            loss.register_forward_pre_hook(self.before_loss)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.iters.append(
            dict(
                iter=runner.iter,
                ids=[s.img_path for s in data_batch['data_samples']],
                draws=[],
                margins=[],
            )
        )

    def before_loss(self, loss, args):
        logits, labels = args[:2]
        signed = (2 * labels - 1) * logits.detach().squeeze(1)
        self.iters[-1]['margins'].append(signed.flatten(1).mean(1))
        self.iters[-1]['draws'].append(loss.draw.perturbed.tolist())

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.iters[-1]['loss'] = outputs['loss'].item()
        self.levels.append(
            dict(zip(self.hook.aslp.bank.ids, self.hook.aslp.alpha.tolist()))
        )


def aslp(runner):
    return next(h for h in runner.hooks if isinstance(h, ASLPHook))


def losses(runner):
    return [m for m in runner.model.modules() if isinstance(m, SCBCELoss)]


def train(cfg):
    runner = Runner.from_cfg(cfg)
    recorder = Recorder()
    runner.register_hook(recorder)
    runner.train()
    return runner, recorder


def log_of(work_dir):
    return ''.join(p.read_text() for p in work_dir.glob('*/*.log'))


def state_of(runner):
    return runner.message_hub.get_info('aslp')


@LOOPS
def test_levels_follow_the_rule_after_warm_up(toy, tmp_path, by_epoch):
    _, recorder = train(toy.config(tmp_path / 'run', by_epoch, auxiliary=True))
    accuracy = None
    scalars = next((tmp_path / 'run').glob('*/vis_data/scalars.json'))
    measured = {}
    for line in scalars.read_text().splitlines():
        entry = json.loads(line)
        if 'calib/acc' in entry:
            measured[entry['step'] * (5 if by_epoch else 1)] = entry['calib/acc']
    assert sorted(measured) == [5, 10, 15]

    levels = dict.fromkeys(recorder.levels[0], 0.0)
    for step, levels_then in zip(recorder.iters, recorder.levels):
        accuracy = measured.get(step['iter'], accuracy)
        if step['iter'] >= 5:
            # decode head of weight 1, auxiliary head of weight 0.4
            main, aux = step['margins']
            margin = ((main + 0.4 * aux) / 1.4).double()
            by_image = {}
            for name, value in zip(step['ids'], margin.tolist()):
                by_image.setdefault(name, []).append(value)
            for name, values in by_image.items():
                levels[name] = update_alpha(
                    torch.tensor([levels[name]], dtype=torch.float64),
                    torch.tensor([np.mean(values)]),
                    accuracy=accuracy,
                    beta=2.0,
                    eta=0.002,
                    lam=2000.0,
                ).item()
        assert levels_then == pytest.approx(levels, abs=1e-8)
    assert min(levels.values()) > 0


@LOOPS
def test_one_draw_per_image_and_iteration_for_all_heads(toy, tmp_path, by_epoch):
    cfg = toy.config(
        tmp_path / 'run',
        by_epoch,
        auxiliary=True,
        custom_hooks=[dict(type='ASLPHook', rule='fixed', alpha=0.4)],
    )
    _, recorder = train(cfg)
    for step in recorder.iters:
        main, aux = step['draws']
        assert main == aux
    drawn = np.concatenate([s['draws'][0] for s in recorder.iters])
    assert 0 < drawn.sum() < len(drawn)
    assert set(recorder.levels[-1].values()) == {0.4}


def test_fixed_rule_takes_the_level_of_the_loss_and_needs_no_validation(toy, tmp_path):
    cfg = toy.config(
        tmp_path / 'run', custom_hooks=[dict(type='ASLPHook', rule='fixed')]
    )
    cfg.model.decode_head.loss_decode.alpha = 0.25
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    _, recorder = train(cfg)
    assert set(recorder.levels[0].values()) == {0.25}


def test_same_image_twice_in_a_batch(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', by_epoch=False)
    cfg.train_dataloader.dataset.indices = [0, 1, 2]
    cfg.train_dataloader.batch_size = 8
    _, recorder = train(cfg)
    for step in recorder.iters:
        for draws in step['draws']:
            by_image = {}
            for name, draw in zip(step['ids'], draws):
                assert by_image.setdefault(name, draw) == draw
    assert min(recorder.levels[-1].values()) > 0


@LOOPS
@pytest.mark.parametrize('gap', ['median', 'mean'])
def test_feedback_rule_follows_the_measured_gap(toy, tmp_path, by_epoch, gap):
    hook = dict(type='ASLPHook', rule='FB', warmup_iters=5, alpha=0.2, gain=0.3)
    cfg = toy.config(tmp_path / 'run', by_epoch, custom_hooks=[dict(hook, gap=gap)])
    cfg.val_evaluator[0].bins = 1000  # for a median that is not the mean
    if by_epoch:
        cfg.train_cfg.update(max_epochs=4, val_interval=2)
    runner = Runner.from_cfg(cfg)
    recorder, gaps = Recorder(), {}

    class Gap(Hook):
        def after_val_epoch(self, runner, metrics=None):
            mean = metrics['calib/conf'] - metrics['calib/acc']
            assert mean != pytest.approx(metrics['calib/median_gap'], abs=1e-6)
            gaps[runner.iter] = mean if gap == 'mean' else metrics['calib/median_gap']

    runner.register_hook(recorder)
    runner.register_hook(Gap())
    runner.train()
    assert sorted(gaps) == ([10, 20] if by_epoch else [5, 10, 15])
    levels, measured = dict.fromkeys(recorder.levels[0], 0.2), None
    for step, levels_then in zip(recorder.iters, recorder.levels):
        measured = gaps.get(step['iter'], measured)
        ids = step['ids']
        if measured is not None and len(set(ids)) == len(ids):
            moved = FB(gain=0.3, gap='median').step(
                torch.tensor([levels[i] for i in ids], dtype=torch.float64),
                step['margins'][0].double(),
                beta=2.0,
                measured=Measured(accuracy=0.9, median_gap=measured),
                visits=2.0 if by_epoch else 1.0,
            )
            levels.update(zip(ids, moved.tolist()))
        elif measured is not None:
            levels.update({i: levels_then[i] for i in ids})
        assert levels_then == pytest.approx(levels, abs=1e-8)
    assert set(levels.values()) != {0.2}


def test_feedback_rule_needs_the_confidence(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.custom_hooks[0].update(rule='FB', accuracy_key='aAcc')
    with pytest.raises(ValueError, match='needs the confidence'):
        Runner.from_cfg(cfg).train()


def test_me_rule_with_landmark_of_the_warm_up(toy, tmp_path):
    cfg = toy.config(
        tmp_path / 'run',
        custom_hooks=[
            dict(type='ASLPHook', rule='ME', landmark='warmup', warmup_epochs=2)
        ],
    )
    runner, _ = train(cfg)
    state = state_of(runner)
    assert 0 < state['landmark'] <= 1 and state['observed_step'] == 15


@pytest.mark.parametrize('solver', ['implicit', 'explicit', 'released'])
@pytest.mark.parametrize('beta', ['SI', 'DM', 0.5])
def test_solvers_and_perturbations(toy, tmp_path, solver, beta):
    cfg = toy.config(
        tmp_path / 'run',
        custom_hooks=[dict(type='ASLPHook', rule='MC', solver=solver, warmup_iters=5)],
    )
    cfg.model.decode_head.loss_decode.beta = beta
    _, recorder = train(cfg)
    assert any(v > 0 for v in recorder.levels[-1].values())


RESUMED = """
import sys
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
import mmaslp, os, signal, torch
torch.set_num_threads(int(sys.argv[3]))  # bit by bit needs the same number

class Kill(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

runner = Runner.from_cfg(Config.fromfile(sys.argv[1]))
runner.register_hook(Kill())
runner.train()
"""


def run_and_kill(cfg, tmp_path, at):
    script, config = tmp_path / 'run.py', tmp_path / 'killed.py'
    script.write_text(RESUMED)
    cfg.dump(config)
    done = subprocess.run(
        [sys.executable, *map(str, (script, config, at, torch.get_num_threads()))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


@LOOPS
def test_killed_and_resumed_equals_uninterrupted(toy, tmp_path, by_epoch):
    """With dropout, which the hook's seeding makes repeatable, and without."""

    def config(name, **overrides):
        cfg = toy.config(tmp_path / name, by_epoch, **overrides)
        cfg.model.decode_head.dropout_ratio = 0.3
        cfg.train_cfg.update(dict(max_epochs=4) if by_epoch else dict(max_iters=20))
        return cfg

    whole, whole_steps = train(config('whole'))
    # In the middle of an epoch; the last checkpoint (iteration 10) was written before
    # the validation of that moment.
    run_and_kill(config('killed'), tmp_path, at=13)
    resumed, resumed_steps = train(config('killed', resume=True))

    assert [s['iter'] for s in resumed_steps.iters] == list(range(10, 20))
    assert resumed_steps.iters[0]['ids'] == whole_steps.iters[10]['ids']
    for ours, theirs in zip(resumed_steps.iters, whole_steps.iters[10:]):
        assert ours['ids'] == theirs['ids']
        assert ours['draws'] == theirs['draws']
        assert ours['loss'] == theirs['loss']
    assert resumed_steps.levels == whole_steps.levels[10:]
    one, other = dict(state_of(whole)), dict(state_of(resumed))
    assert torch.equal(one.pop('alpha'), other.pop('alpha'))
    assert torch.equal(one.pop('ids'), other.pop('ids'))
    assert one == other
    for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters()):
        assert torch.equal(ours, theirs)


def test_seed_of_the_draws_is_that_of_the_first_run(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.custom_hooks[0].seed = 1234
    train(cfg)
    longer = dict(resume=True, train_cfg=dict(max_epochs=4))
    resumed, _ = train(toy.config(tmp_path / 'run', **longer))
    assert resumed.seed == 0 and state_of(resumed)['seed'] == 1234


def test_checkpoint_loads_safely_and_load_from_starts_anew(toy, tmp_path):
    runner, _ = train(toy.config(tmp_path / 'run'))
    path = str(tmp_path / 'run' / 'epoch_3.pth')
    allow_history_buffers()  # OneDL's loader takes them back after each file
    checkpoint = torch.load(path, weights_only=True)
    saved = checkpoint['message_hub']['runtime_info']['aslp']
    assert torch.equal(saved['alpha'], aslp(runner).aslp.bank.alpha)

    _, recorder = train(toy.config(tmp_path / 'fine', load_from=path))
    assert set(recorder.levels[0].values()) == {0.0}
    assert recorder.iters[0]['iter'] == 0


def test_resume_with_other_images_keeps_what_matches(toy, tmp_path):
    train(toy.config(tmp_path / 'run'))
    for i in range(4):
        for kind in ('images', 'masks'):
            folder = toy.root / 'train' / kind
            (folder / f'{i:02d}.png').rename(folder / f'new{i}.png')
    cfg = toy.config(tmp_path / 'run', resume=True, train_cfg=dict(max_epochs=4))
    Runner.from_cfg(cfg).train()
    message = '6 of the 10 training images are among the 10'
    assert message in log_of(tmp_path / 'run')


def test_resume_without_state_says_so(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    Runner.from_cfg(cfg).train()
    cfg = toy.config(tmp_path / 'run', resume=True, train_cfg=dict(max_epochs=4))
    Runner.from_cfg(cfg).train()
    assert 'holds no state of ASLPHook' in log_of(tmp_path / 'run')


def test_resume_with_a_stronger_perturbation_keeps_the_side_of_the_label(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.model.decode_head.loss_decode.beta = 'M'
    cfg.custom_hooks[0].update(rule='fixed', alpha=0.9)
    train(cfg)
    cfg = toy.config(tmp_path / 'run', resume=True, train_cfg=dict(max_epochs=4))
    cfg.custom_hooks[0].update(rule='fixed', alpha=0.1)
    _, recorder = train(cfg)
    assert set(recorder.levels[0].values()) == {0.49}
    log = log_of(tmp_path / 'run')
    assert '10 resumed levels would flip' in log
    assert 'beta 1.0 -> 2.0' in log and 'alpha 0.9 -> 0.1' in log


def test_resume_with_another_gap(toy, tmp_path):
    hook = dict(type='ASLPHook', rule='FB', gap='mean', warmup_iters=5, alpha=0.2)
    train(toy.config(tmp_path / 'run', custom_hooks=[hook]))
    cfg = toy.config(
        tmp_path / 'run',
        custom_hooks=[{**hook, 'gap': 'median'}],
        resume=True,
        train_cfg=dict(max_epochs=4),
    )
    runner, recorder = train(cfg)
    assert max(recorder.levels[0].values()) < 0.2  # all have moved before
    assert state_of(runner)['median_gap'] is not None
    assert 'gap mean -> median' in log_of(tmp_path / 'run')


@pytest.mark.parametrize(
    'damage',
    [
        lambda s: s.update(alpha=s['alpha'][:3]),
        lambda s: s.pop('ids'),
        lambda s: s.pop('seed'),
        lambda s: s.update(version=1),
        lambda s: s.update(settings=None),
    ],
)
def test_resume_with_damaged_state(toy, tmp_path, damage):
    train(toy.config(tmp_path / 'run'))
    path = tmp_path / 'run' / 'epoch_3.pth'
    allow_history_buffers()  # OneDL's loader takes them back after each file
    checkpoint = torch.load(path, weights_only=True)
    damage(checkpoint['message_hub']['runtime_info']['aslp'])
    torch.save(checkpoint, path)
    cfg = toy.config(tmp_path / 'run', resume=True, train_cfg=dict(max_epochs=4))
    with pytest.raises(
        ValueError, match=r'state of ASLP is damaged .* resume from another checkpoint'
    ):
        Runner.from_cfg(cfg).train()


def test_nan_in_one_image_costs_only_that_image_its_step(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[dict(type='ASLPHook', rule='MC')])
    cfg.custom_hooks[0].warmup_iters = 5
    runner = Runner.from_cfg(cfg)
    recorder = Recorder()
    runner.register_hook(recorder)

    class Poison(Hook):
        def before_train(self, runner):
            for loss in losses(runner):
                loss.register_forward_pre_hook(self.poison)
            for parameter in runner.model.parameters():
                parameter.register_hook(torch.nan_to_num)
            self.runner = runner

        def poison(self, loss, args):
            if self.runner.iter == 7:
                args[0].data[0] = float('nan')

    runner.register_hook(Poison())
    runner.train()
    name, other = recorder.iters[7]['ids']
    assert recorder.levels[7][name] == recorder.levels[6][name]
    assert recorder.levels[7][other] != recorder.levels[6][other]
    assert np.isfinite(list(recorder.levels[-1].values())).all()
    log = log_of(tmp_path / 'run')
    assert 'not finite' in log and name in log


def test_logs_pictures_and_table(toy, tmp_path):
    drawn = {'custom_hooks.0.draw_histogram': True}
    runner, _ = train(toy.config(tmp_path / 'run', **drawn))
    folder = next((tmp_path / 'run').glob('*/vis_data'))
    lines = [json.loads(x) for x in (folder / 'scalars.json').read_text().splitlines()]
    last = [x for x in lines if 'alpha' in x][-1]
    alpha = aslp(runner).aslp.bank.alpha.numpy()
    assert last['alpha'] == pytest.approx(alpha.mean(), abs=1e-4)
    for name, share in (('alpha_p05', 0.05), ('alpha_p50', 0.5), ('alpha_p95', 0.95)):
        assert last[name] == pytest.approx(np.quantile(alpha, share), abs=1e-4)
    pictures = sorted((folder / 'vis_image').glob('alpha_histogram_*.png'))
    assert len(pictures) == 3
    assert np.asarray(Image.open(pictures[-1])).std() > 10

    with open(tmp_path / 'run' / 'alpha.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    levels = [float(row['alpha']) for row in rows]
    assert levels == sorted(levels) and len(rows) == 10
    by_name = dict(zip(aslp(runner).aslp.bank.ids, alpha))
    for row, level in zip(rows, levels):
        assert level == pytest.approx(by_name[row['img_path']], abs=1e-6)


def test_model_without_the_loss(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.model.decode_head.loss_decode = dict(type='CrossEntropyLoss', use_sigmoid=True)
    with pytest.raises(ValueError, match='found no SCBCELoss'):
        Runner.from_cfg(cfg).train()


def test_different_perturbations(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', auxiliary=True)
    cfg.model.auxiliary_head.loss_decode.beta = 'M'
    with pytest.raises(ValueError, match='different strengths beta'):
        Runner.from_cfg(cfg).train()


def test_no_validation(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    with pytest.raises(ValueError, match=r"val_evaluator = \[dict\(type='Calibration"):
        Runner.from_cfg(cfg).train()


def test_accuracy_comes_from_the_metric_that_measures_it_plainly(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    others = [
        dict(type='CalibrationMetric', mode='positive', prefix='pos'),
        dict(type='CalibrationMetric', protocol='released', prefix='rel'),
    ]
    cfg.val_evaluator = [*others, dict(type='CalibrationMetric', prefix='plain')]
    runner = Runner.from_cfg(cfg)
    seen = {}

    class Seen(Hook):
        def after_val_epoch(self, runner, metrics=None):
            seen.update(metrics)

    runner.register_hook(Seen())
    runner.train()
    assert state_of(runner)['accuracy'] == seen['plain/acc'] != seen['pos/acc']
    cfg.val_evaluator = others
    cfg.experiment_name = 'toy_others'
    with pytest.raises(ValueError, match=r"mode='positive'.* gives"):
        Runner.from_cfg(cfg).train()


def test_visits_of_repeated_and_large_sets(toy, tmp_path):
    """10 images of batch 2: 5 iterations visit each image once."""

    def planned(by_epoch, **loop):
        cfg = toy.config(tmp_path / 'run', by_epoch, train_cfg=loop)
        cfg.custom_hooks[0].update(rule='FB', warmup_epochs=2)
        inner = cfg.train_dataloader.dataset
        cfg.train_dataloader.dataset = dict(
            type='RepeatDataset', dataset=inner, times=4 if by_epoch else 1000
        )
        return aslp(train(cfg)[0])

    hook = planned(True, max_epochs=1, val_interval=3)
    assert hook.aslp.warmup == 2 * 20 and hook.schedule.visits == 3 * 4
    hook = planned(False, max_iters=4, val_interval=15)
    assert hook.aslp.warmup == 2 * 5 and hook.schedule.visits == 3
    hook = planned(False, max_iters=4, val_interval=1)
    assert hook.schedule.visits == 1  # not 0.2: a step is never multiplied
    hook = planned(False, max_iters=4, val_interval=1, dynamic_intervals=[(3, 10)])
    assert hook.schedule.visits == 2


def test_no_accuracy_among_the_metrics(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.val_evaluator = [dict(type='IoUMetric')]
    with pytest.raises(ValueError, match=r"\['IoUMetric'\] gives.*val_evaluator ="):
        Runner.from_cfg(cfg).train()


def test_accuracy_of_another_metric(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.val_evaluator = [dict(type='IoUMetric')]
    cfg.custom_hooks[0].accuracy_key = 'aAcc'
    runner, _ = train(cfg)
    assert 0.3 < state_of(runner)['accuracy'] <= 1
    cfg.custom_hooks[0].accuracy_key = 'nope'
    with pytest.raises(ValueError, match="no 'nope' for ASLPHook, only"):
        train(cfg)


@pytest.mark.parametrize('nested', [False, True])
def test_mosaic_is_refused(toy, tmp_path, nested):
    cfg = toy.config(tmp_path / 'run')
    inner = cfg.train_dataloader.dataset
    mosaic = dict(type='RandomMosaic', prob=1, img_scale=(16, 16))
    if nested:
        mosaic = dict(type='RandomApply', transforms=[mosaic], prob=0.5)
    cfg.train_dataloader.dataset = dict(
        type='MultiImageMixDataset',
        dataset=dict(
            **{k: v for k, v in inner.items() if k != 'pipeline'},
            pipeline=inner.pipeline[:2],
        ),
        pipeline=[mosaic, dict(type='PackSegInputs')],
    )
    with pytest.raises(ValueError, match='RandomMosaic, which makes one image of'):
        Runner.from_cfg(cfg).train()


@pytest.mark.parametrize('kind', ['ConcatDataset', 'RepeatDataset'])
def test_dataset_wrappers(toy, tmp_path, kind):
    cfg = toy.config(tmp_path / 'run')
    inner = cfg.train_dataloader.dataset
    if kind == 'ConcatDataset':
        parts = [{**inner, 'indices': list(range(4))}, {**inner, 'indices': [4, 5]}]
        cfg.train_dataloader.dataset = dict(type=kind, datasets=parts)
    else:
        part = {**inner, 'indices': list(range(6))}
        cfg.train_dataloader.dataset = dict(type=kind, dataset=part, times=2)
    runner, recorder = train(cfg)
    assert len(aslp(runner).aslp.bank) == 6
    assert min(recorder.levels[-1].values()) > 0


def test_image_that_the_training_set_does_not_list(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    runner = Runner.from_cfg(cfg)

    class Shrink(Hook):
        priority = 'VERY_LOW'

        def before_train(self, runner):
            aslp(runner).aslp.bank = AlphaBank(['elsewhere.png'])

    runner.register_hook(Shrink())
    with pytest.raises(ValueError, match='no image of the training set'):
        runner.train()


def test_a_fixed_level_of_0_is_said_at_the_start(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[dict(type='ASLPHook')])
    cfg.custom_hooks[0].rule = 'fixed'
    Runner.from_cfg(cfg).train()
    assert "rule='fixed' with the level 0 perturbs no label" in log_of(tmp_path / 'run')


@pytest.mark.parametrize(
    ('loss', 'hook', 'message'),
    [
        (dict(eps=0.2), dict(), 'has the level 0.1 .* every image starts with 0:'),
        (dict(alpha=0.1), dict(alpha=0.2), 'level 0.1 .* starts with 0.2: give the'),
        (dict(alpha=0.1), dict(rule='fixed', alpha=0.3), '0.1 .* starts with 0.3'),
        (dict(alpha=0.2), dict(alpha=0.2), None),
        (dict(alpha=0.2), dict(rule='fixed'), None),
        (dict(eps=0.2), dict(rule='fixed'), None),
    ],
)
def test_a_level_of_the_loss_that_is_not_used_is_said(
    toy, tmp_path, loss, hook, message
):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[dict(type='ASLPHook', **hook)])
    cfg.model.decode_head.loss_decode.update(loss)
    Runner.from_cfg(cfg).train()
    log = log_of(tmp_path / 'run')
    assert ('SCBCELoss has the level' in log) == (message is not None)
    assert message is None or re.search(message, log)


@pytest.mark.parametrize(
    ('hook', 'limit'),
    [
        (dict(rule='MC'), 'lam below 1000'),
        (dict(rule='MC', solver='released'), 'lam below 1000'),
        (dict(rule='FB', gain=1.2), 'a gain below 1'),
        (dict(rule='MC', lam=999), None),
        (dict(rule='FB'), 'a gain below 1'),
        (dict(rule='FB', gain=0.99), None),
        (dict(rule='ME'), None),
    ],
)
def test_an_explicit_step_that_is_not_stable_is_said(toy, tmp_path, hook, limit):
    hook = {'type': 'ASLPHook', 'solver': 'explicit', **hook}
    cfg = toy.config(tmp_path / 'run', custom_hooks=[hook])
    cfg.train_cfg.max_epochs = 1
    Runner.from_cfg(cfg).train()
    log = log_of(tmp_path / 'run')
    assert ('is not stable at' in log) == (limit is not None)
    assert limit is None or f'take {limit}, or' in log


def test_warm_up_that_never_ends_is_said_at_the_start(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[dict(type='ASLPHook')])
    Runner.from_cfg(cfg).train()
    assert 'the levels never move' in log_of(tmp_path / 'run')


@pytest.mark.parametrize(
    ('kwargs', 'match'),
    [
        (dict(rule='XX'), 'rule must be one of MC, ME, FB, fixed'),
        (dict(rule='MC', solver='XX'), 'solver must be one of'),
        (dict(rule='FB', solver='released'), 'solver must be one of implicit, expl'),
        (dict(rule='FB', eta=0.1), "'FB' has no option 'eta': it takes gain, gap, so"),
        (dict(rule='fixed', gain=1), "'fixed' has no option 'gain': it takes none"),
        (dict(rule=dict(type='MC', gap='mean')), "'MC' has no option 'gap'"),
        (dict(rule=MC(), eta=0.1), 'rule is an object already'),
        (dict(rule='MC', eta=0), 'eta'),
        (dict(rule='MC', eta='0.002'), 'eta must be a number above 0'),
        (dict(rule='MC', eta=float('inf')), 'eta must be a number above 0'),
        (dict(gain=0), 'gain must be a number above 0'),
        (dict(gain=True), 'gain must be a number above 0'),
        (dict(alpha=2), r'alpha must be a number in \[0, 1\], got 2'),
        (dict(warmup_epochs='5'), 'warmup_epochs must be a number'),
        (dict(rule='MC', lam=-1), 'lam'),
        (dict(rule='ME', landmark='first'), 'landmark'),
        (dict(rule='ME', landmark=95), 'landmark'),
        (dict(gap='mode'), 'gap must be one of mean, median'),
        (dict(warmup_epochs=1, warmup_iters=1), 'not both'),
        (dict(warmup_epochs=-1), 'warmup_epochs'),
        (dict(log_interval=0), 'log_interval'),
    ],
)
def test_bad_arguments(kwargs, match):
    with pytest.raises(ValueError, match=match):
        ASLPHook(**kwargs)


def test_start_level_that_flips_the_label(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.custom_hooks[0].alpha = 0.6
    with pytest.raises(ValueError, match='would flip the expected label'):
        Runner.from_cfg(cfg).train()


def test_draws_do_not_depend_on_workers(toy, tmp_path):
    draws = []
    for workers in (0, 2):
        cfg = toy.config(
            tmp_path / f'run{workers}',
            custom_hooks=[dict(type='ASLPHook', rule='fixed', alpha=0.4)],
        )
        cfg.train_dataloader.num_workers = workers
        _, recorder = train(cfg)
        draws.append([(s['ids'], s['draws'], s['loss']) for s in recorder.iters])
    assert draws[0] == draws[1]


def test_gradient_accumulation_and_ema(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    cfg.optim_wrapper.accumulative_counts = 2
    cfg.custom_hooks.append(dict(type='EMAHook'))
    _, recorder = train(cfg)
    assert [s['iter'] for s in recorder.iters] == list(range(15))
    assert min(recorder.levels[-1].values()) > 0


def test_compiled_train_step(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', compile=dict(backend='eager'))
    plain = toy.config(tmp_path / 'plain')
    _, compiled = train(cfg)
    _, eager = train(plain)
    for ours, theirs in zip(compiled.iters, eager.iters):
        assert ours['loss'] == pytest.approx(theirs['loss'], rel=1e-4)
    assert compiled.levels[-1] == pytest.approx(eager.levels[-1], abs=1e-5)


@LOOPS
def test_each_band_follows_the_gap_that_the_validation_measures(
    toy, tmp_path, by_epoch
):
    hook = dict(type='ASLPHook', regions='border', warmup_iters=5, alpha=0.2)
    cfg = toy.config(tmp_path / 'run', by_epoch, custom_hooks=[hook])
    runner, seen = Runner.from_cfg(cfg), []

    class Bands(Hook):
        priority = 'VERY_LOW'

        def after_val_epoch(self, runner, metrics=None):
            shares = [metrics[f'calib/band{k}_share'] for k in range(5)]
            gaps, accuracies = (
                [metrics.get(f'calib/band{k}_{key}', np.nan) for k in range(5)]
                for key in ('gap', 'acc')
            )
            profile = aslp(runner).aslp.profile.tolist()
            seen.append((gaps, shares, accuracies, profile))

    runner.register_hook(Bands())
    runner.train()
    assert len(seen) == 3
    profile, gaps = torch.full((5,), 0.2, dtype=torch.float64), []
    for gap, share, accuracy, found in seen:
        gaps = [*gaps, tuple(gap)][-3:]
        measured = Measured(
            0.9,
            0.9,
            region_gaps=tuple(gaps),
            region_share=tuple(share),
            region_accuracy=tuple(accuracy),
        )
        profile = FB().step_profile(profile, beta=2.0, measured=measured)
        assert found == pytest.approx(profile.tolist(), abs=1e-6)
    assert len({round(level, 6) for level in profile.tolist()}) > 1
    scalars = next((tmp_path / 'run').glob('*/vis_data/scalars.json')).read_text()
    logged = [json.loads(line) for line in scalars.splitlines()]
    last = [line for line in logged if 'alpha_region0' in line][-1]
    before = seen[-2][3]  # the last validation comes after the last iteration
    for k in range(5):
        assert last[f'alpha_region{k}'] == pytest.approx(before[k], abs=1e-4)


def test_bands_that_stay_under_confident_are_named(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(ASLP, 'under_confident', {0: -0.059, 2: -0.02})
    hook = dict(type='ASLPHook', regions='border', export=None)
    cfg = toy.config(tmp_path / 'run', custom_hooks=[hook], log_level='INFO')
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert aslp(runner).schedule.warmup == runner.max_iters // 3
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    levels = ', '.join(f'{level:.4f}' for level in aslp(runner).aslp.profile)
    assert f'levels by region, from the border on: {levels}' in log
    assert '0 at the border (confidence - accuracy): 0 (-0.059), 2 (-0.020)' in log
    assert 'mmaslp fit-temperature CONFIG CHECKPOINT --regions border' in log


def test_levels_by_region_resume(toy, tmp_path):
    def config(name, **overrides):
        hook = dict(type='ASLPHook', regions='border', warmup_iters=0, alpha=0.2)
        return toy.config(tmp_path / name, custom_hooks=[hook], **overrides)

    whole, _ = train(config('whole', train_cfg=dict(max_epochs=4)))
    train(config('cut', train_cfg=dict(max_epochs=2)))
    resumed, _ = train(config('cut', resume=True, train_cfg=dict(max_epochs=4)))
    one, other = aslp(whole).aslp, aslp(resumed).aslp
    assert torch.equal(one.profile, other.profile)
    for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters()):
        assert torch.equal(ours, theirs)


def test_regions_need_feedback():
    with pytest.raises(ValueError, match=r'moves levels by region \(FB\), not MC'):
        ASLPHook(rule='MC', regions='border')
