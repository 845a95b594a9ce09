import csv
import json
import re
import signal

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from PIL import Image

from mmaslp import ASLPHook, Calibrator, SCBCELoss
from mmaslp.integrations.mmseg.checkpoint import allow_history_buffers
from mmaslp.integrations.mmseg.checks.run import measuring_metric
from mmaslp.integrations.mmseg.engine import aslp_hook
from mmaslp.integrations.mmseg.engine.trainings import ImageErrors, ImageTraining
from mmaslp.levels import BandLevels, ImageLevels
from mmaslp.metrics import BandTable
from mmaslp.training.sessions import BAND_LEVELS
from tests.scripts import run_script
from tests.test_levels.reference import implicit_mc

# A validation after every other iteration, so that levels by band arrive.
OFTEN = dict(max_iters=20, val_interval=2)


class Recorder(Hook):
    """Notes what the losses and the hook did in every iteration."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.iters = []
        self.levels = []
        self.measured = []  # images whose errors were taken in since a validation

    def before_train(self, runner):
        self.hook = aslp(runner)
        for loss in losses(runner):
            loss.register_forward_pre_hook(self.before_loss)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        ids = [s.img_path for s in data_batch['data_samples']]
        self.iters.append(dict(iter=runner.iter, ids=ids, drawn=[], margins=[]))

    def before_loss(self, loss, args):
        logits, labels = args[:2]
        signed = (2 * labels - 1) * logits.detach().squeeze(1)
        self.iters[-1]['margins'].append(signed.flatten(1).mean(1))
        sample = getattr(loss.criterion.levels, 'pending', None)
        if sample is not None:
            self.iters[-1]['drawn'].append(sample.perturbed.tolist())

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.iters[-1]['loss'] = outputs['loss'].item()
        levels = self.hook.levels.levels
        by_image = isinstance(levels, dict)
        self.levels.append(levels if by_image else levels.tolist())
        error_sums = getattr(self.hook.levels, 'error_sums', [0, 0])
        self.measured.append(int(error_sums[1]))


class Tables(Hook):
    """Keeps the table of every validation."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.seen = []

    def after_val_epoch(self, runner, metrics=None):
        levels = getattr(aslp(runner).training, 'levels', None)
        (metric,) = runner.val_loop.evaluator.metrics
        self.seen.append((runner.iter, metric.table, levels.levels.tolist(), metrics))


def aslp(runner):
    return next(h for h in runner.hooks if isinstance(h, ASLPHook))


def losses(runner):
    return [m for m in runner.model.modules() if isinstance(m, SCBCELoss)]


def train(cfg, *hooks):
    runner = Runner.from_cfg(cfg)
    recorder = Recorder()
    for hook in (recorder, *hooks):
        runner.register_hook(hook)
    runner.train()
    return runner, recorder


def banded(toy, work_dir, auxiliary=False, **overrides):
    """A run with levels by band, of 20 iterations."""
    hook = dict(type='ASLPHook', levels='band', warmup_iters=4, log_interval=1)
    cfg = toy.config(
        work_dir,
        by_epoch=False,
        auxiliary=auxiliary,
        custom_hooks=[hook],
        train_cfg=OFTEN,
    )
    toy.over_confident(cfg)
    cfg.merge_from_dict(overrides)
    return cfg


def log_of(work_dir):
    return ''.join(p.read_text() for p in work_dir.glob('*/*.log'))


def scalars_of(work_dir):
    lines = next(work_dir.glob('*/vis_data/scalars.json')).read_text().splitlines()
    return [json.loads(line) for line in lines]


def state_of(runner):
    return runner.message_hub.get_info('aslp')


@pytest.mark.parametrize('by_epoch', [True, False], ids=['epoch', 'iter'])
def test_levels_by_image_follow_the_rule_after_warm_up(toy, tmp_path, by_epoch):
    _, recorder = train(toy.config(tmp_path / 'run', by_epoch, auxiliary=True))
    accuracy, measured = None, {}
    for entry in scalars_of(tmp_path / 'run'):
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
                levels[name] = implicit_mc(levels[name], np.mean(values), accuracy)
        assert levels_then == pytest.approx(levels, abs=1e-8)
    assert min(levels.values()) > 0
    for step in recorder.iters:  # one draw for both heads
        main, aux = step['drawn']
        assert main == aux


def test_levels_by_band_follow_the_table_of_each_validation(toy, tmp_path):
    tables = Tables()
    runner, recorder = train(banded(toy, tmp_path / 'run'), tables)
    assert [seen[0] for seen in tables.seen] == [*range(2, 21, 2)]
    # README's loop: the same tables give the same levels.
    levels = BandLevels(warmup=1)
    for _, table, found, metrics in tables.seen:
        assert isinstance(table, BandTable)
        assert table.compute()['acc'] == pytest.approx(metrics['calib/acc'], abs=1e-6)
        levels.observe(table)
        assert found == pytest.approx(levels.levels.tolist(), abs=1e-9)
    assert min(found) > 0
    assert state_of(runner)['levels']['validations'] == 10
    assert not any(step['drawn'] for step in recorder.iters)
    logged = [line for line in scalars_of(tmp_path / 'run') if 'level_band0' in line]
    assert len(logged) == 20
    last = [logged[-1][f'level_band{k}'] for k in range(5)]
    assert last == pytest.approx(recorder.levels[-1], abs=1e-4)


def test_fixed_rule_takes_the_level_of_the_loss_and_needs_no_validation(toy, tmp_path):
    hook = dict(type='ASLPHook', levels='image', rule='fixed')
    cfg = toy.config(tmp_path / 'run', custom_hooks=[hook])
    cfg.model.decode_head.loss_decode.alpha = 0.25
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.train_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[cfg.train_dataloader.dataset] * 2
    )
    runner, recorder = train(cfg)
    assert set(recorder.levels[0].values()) == {0.25}
    drawn = np.concatenate([step['drawn'][0] for step in recorder.iters])
    assert 0 < drawn.sum() < len(drawn)
    assert len(aslp(runner).levels.ids) == 10


RESUMED = """
import sys
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
import mmaslp, os, signal, torch
torch.set_num_threads(1)  # as here: bit by bit needs the same number

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
    done = run_script(script, config, at)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


@pytest.mark.parametrize(
    'kind', ['image', pytest.param('band', marks=pytest.mark.release), 'image_band']
)
def test_killed_and_resumed_equals_uninterrupted(toy, tmp_path, kind):
    """With dropout, which the hook's seeding makes repeatable.

    By image and band also with an auxiliary head, which is not measured.
    """

    def config(name, **overrides):
        overrides['auxiliary'] = kind == 'image_band'
        if kind != 'image':
            cfg = banded(toy, tmp_path / name, **overrides)
            cfg.custom_hooks[0].levels = kind
        else:
            cfg = toy.config(tmp_path / name, **overrides)
            cfg.train_cfg.max_epochs = 4
        cfg.model.decode_head.dropout_ratio = 0.3
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
        assert ours['drawn'] == theirs['drawn']
        assert ours['loss'] == theirs['loss']
    assert resumed_steps.levels == whole_steps.levels[10:]
    one, other = (dict(state_of(each)) for each in (whole, resumed))
    ours, theirs = dict(one.pop('levels')), dict(other.pop('levels'))
    assert one == other
    assert one['kind'] == kind
    if kind == 'image_band':
        # Two images in a step, and a validation after each second one.
        assert whole_steps.measured == [2, 4] * 10
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, theirs[key])
        else:
            assert repr(value) == repr(theirs[key])
    for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters()):
        assert torch.equal(ours, theirs)


class CountingLevels(BandLevels):
    """Levels of a user, with a state that moves in every batch."""

    batches = 0

    def start_batch(self):
        self.batches += 1

    def state_dict(self):
        return super().state_dict() | dict(batches=self.batches)

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.batches = state['batches']


def test_levels_of_a_user_save_what_moves_in_every_batch(toy, tmp_path, monkeypatch):
    monkeypatch.setitem(BAND_LEVELS, 'band', CountingLevels)

    def counted(resume):
        cfg = banded(toy, tmp_path / 'run', resume=resume)
        cfg.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False)
        cfg.default_hooks.checkpoint.interval = 7  # in the middle of an epoch
        runner = Runner.from_cfg(cfg)
        runner.train()
        return aslp(runner).levels.batches

    whole = counted(resume=False)
    latest = tmp_path / 'run' / 'last_checkpoint'
    latest.write_text(str(tmp_path / 'run' / 'iter_7.pth'))
    assert counted(resume=True) == whole == 20


def trained_at_0(toy, work_dir, loss, **hook):
    """Weights and generator after a training, with dropout, whose levels stay at 0."""
    cfg = toy.over_confident(toy.config(work_dir))
    cfg.model.decode_head.dropout_ratio = 0.3
    cfg.model.decode_head.loss_decode = loss
    cfg.custom_hooks = [dict(type='ASLPHook', **hook)]
    if hook['levels'] in ('band', 'image_band'):
        cfg.custom_hooks.append(dict(type='KeepLevelsAt0'))
    cfg.train_cfg.max_epochs = 7
    runner = Runner.from_cfg(cfg)
    runner.train()
    return [*runner.model.state_dict().values(), torch.get_rng_state()]


@HOOKS.register_module()
class KeepLevelsAt0(Hook):
    """Moves levels back after each validation."""

    priority = 'VERY_LOW'

    def after_val_epoch(self, runner, metrics=None):
        levels = aslp(runner).levels.levels
        assert levels.any()  # they would have moved
        levels.zero_()


SC_BCE = dict(type='SCBCELoss')
BCE_OF_MMSEG = dict(type='CrossEntropyLoss', use_sigmoid=True)


@pytest.fixture(scope='module')
def plain():
    """The end of a training with BCE, once one has run."""
    return []


@pytest.mark.parametrize(
    ('loss', 'hook'),
    [
        (BCE_OF_MMSEG, dict(levels=None)),
        pytest.param(
            SC_BCE,
            dict(levels='band', warmup_epochs=0),
            marks=pytest.mark.release,
        ),
        (SC_BCE, dict(levels='image_band', warmup_epochs=0)),
        (
            SC_BCE,
            dict(levels='image', rule='fixed', alpha=0.0, draw_histogram=False),
        ),
    ],
    ids=['mmseg', 'band', 'image_band', 'image'],
)
def test_levels_of_none_and_of_0_train_as_bce_does_bit_for_bit(
    toy, tmp_path, plain, loss, hook
):
    if not plain:
        plain += trained_at_0(toy, tmp_path / 'plain', SC_BCE, levels=None)
    other = trained_at_0(toy, tmp_path / 'other', loss, **hook)
    for one, two in zip(plain, other, strict=True):
        assert torch.equal(one, two)


def test_checkpoint_loads_safely_and_load_from_starts_anew(toy, tmp_path):
    runner, _ = train(toy.config(tmp_path / 'run'))
    path = str(tmp_path / 'run' / 'epoch_3.pth')
    allow_history_buffers()  # OneDL's loader takes them back after each file
    checkpoint = torch.load(path, weights_only=True)
    saved = checkpoint['message_hub']['runtime_info']['aslp']
    assert torch.equal(saved['levels']['alpha'], aslp(runner).levels.alpha)

    _, recorder = train(toy.config(tmp_path / 'fine', load_from=path))
    assert set(recorder.levels[0].values()) == {0.0}
    assert recorder.iters[0]['iter'] == 0

    def resumed(change, hook=None):
        change(checkpoint['message_hub']['runtime_info'])
        torch.save(checkpoint, path)
        longer = dict(resume=True, train_cfg=dict(max_epochs=20))
        cfg = toy.config(tmp_path / 'run', **longer)
        cfg.custom_hooks[0] = hook or cfg.custom_hooks[0]
        Runner.from_cfg(cfg).train()

    other = dict(type='ASLPHook', levels='band', warmup_epochs=0)
    with pytest.raises(ValueError, match="has levels='image'; resume from another"):
        resumed(lambda info: None, other)
    with pytest.raises(ValueError, match='state of ImageLevels is damaged'):
        resumed(lambda info: info['aslp']['levels'].pop('seed'))
    with pytest.raises(ValueError, match='has levels=None; resume from'):
        resumed(lambda info: info.update(aslp=dict(version=2, alpha=torch.zeros(1))))


def test_levels_of_an_earlier_iteration_are_told_of(monkeypatch):
    said = []
    monkeypatch.setattr(aslp_hook, 'print_log', lambda text, *_: said.append(text))
    state = dict(kind=None, seed=0, observed_iter=None, levels={})
    hook = ASLPHook(levels=None)
    hook._restore(dict(state, iters=torch.tensor(4)), 4)
    hook._restore(state, 9)  # of a version that did not count
    assert len(said) == 2
    hook._restore(dict(state, iters=torch.tensor(4)), 9)
    assert 'those of iteration 4: from there to iteration 9' in said[-1]


def test_resume_without_state_says_so(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', custom_hooks=[], train_cfg=dict(max_epochs=1))
    Runner.from_cfg(cfg).train()
    cfg = toy.config(tmp_path / 'run', resume=True, train_cfg=dict(max_epochs=2))
    Runner.from_cfg(cfg).train()
    assert 'contains no state of ASLPHook' in log_of(tmp_path / 'run')


def test_nan_in_one_image_costs_only_that_image_its_step(toy, tmp_path):

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

    _, recorder = train(toy.config(tmp_path / 'run'), Poison())
    name, other = recorder.iters[7]['ids']
    assert recorder.levels[7][name] == recorder.levels[6][name]
    assert recorder.levels[7][other] != recorder.levels[6][other]
    assert np.isfinite(list(recorder.levels[-1].values())).all()
    log = log_of(tmp_path / 'run')
    assert 'not finite' in log
    assert name in log


def test_logs_pictures_and_table(toy, tmp_path):
    drawn = {'custom_hooks.0.draw_histogram': True}
    runner, _ = train(toy.config(tmp_path / 'run', **drawn))
    folder = next((tmp_path / 'run').glob('*/vis_data'))
    lines = [json.loads(x) for x in (folder / 'scalars.json').read_text().splitlines()]
    last = [x for x in lines if 'alpha' in x][-1]
    alpha = aslp(runner).levels.alpha.numpy()
    assert last['alpha'] == pytest.approx(alpha.mean(), abs=1e-4)
    for name, share in (('alpha_p05', 0.05), ('alpha_p50', 0.5), ('alpha_p95', 0.95)):
        assert last[name] == pytest.approx(np.quantile(alpha, share), abs=1e-4)
    pictures = sorted((folder / 'vis_image').glob('alpha_histogram_*.png'))
    assert len(pictures) == 3
    assert np.asarray(Image.open(pictures[-1])).std() > 10

    with open(tmp_path / 'run' / 'alpha.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    levels = [float(row['alpha']) for row in rows]
    assert levels == sorted(levels)
    assert len(rows) == 10
    by_name = dict(zip(aslp(runner).levels.ids, alpha))
    for row, level in zip(rows, levels):
        assert level == pytest.approx(by_name[row['img_path']], abs=1e-6)


MOSAIC = dict(type='RandomMosaic', prob=1, img_scale=(16, 16))


def with_mosaic(cfg, step):
    inner = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(
        type='MultiImageMixDataset',
        dataset={**inner, 'pipeline': inner.pipeline[:2]},
        pipeline=[step, dict(type='PackSegInputs')],
    )
    return cfg


def test_levels_by_band_train_with_mosaic(toy, tmp_path):
    cfg = with_mosaic(banded(toy, tmp_path / 'run'), MOSAIC)
    cfg.train_dataloader.dataset.pipeline.insert(1, dict(type='Resize', scale=(16, 16)))
    runner, _ = train(cfg)
    assert aslp(runner).levels.validations == 10


def test_mosaic_is_refused_for_levels_by_image(toy, tmp_path):
    step = dict(type='RandomApply', transforms=[MOSAIC])
    cfg = with_mosaic(toy.config(tmp_path / 'run'), step)
    with pytest.raises(
        ValueError, match=r"RandomMosaic, .* ASLPHook\(levels='image_band'"
    ):
        Runner.from_cfg(cfg).train()


def without_validation(cfg):
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    return cfg


def with_evaluator(*metrics):
    def change(cfg):
        cfg.val_evaluator = [*metrics]
        return cfg

    return change


def with_another_loss(cfg):
    loss = dict(type='CrossEntropyLoss', use_sigmoid=True)
    cfg.model.decode_head.loss_decode = loss
    return cfg


@pytest.mark.parametrize(
    ('kind', 'change', 'match'),
    [
        ('image', with_another_loss, 'found no SCBCELoss.*_delete_=True'),
        ('band', without_validation, r"val_evaluator = \[dict\(type='Calibration"),
        (
            'image',
            with_evaluator(dict(type='IoUMetric')),
            'needs a validation that measures the raw network',
        ),
        (
            'band',
            with_evaluator(dict(type='CalibrationMetric', mode='positive')),
            "needs a validation that measures the raw network.*mode='top_label'",
        ),
    ],
)
def test_runs_that_cannot_train(toy, tmp_path, kind, change, match):
    make = banded if kind == 'band' else toy.config
    args = (toy, tmp_path / 'run') if kind == 'band' else (tmp_path / 'run',)
    with pytest.raises(ValueError, match=match):
        Runner.from_cfg(change(make(*args))).train()


def test_levels_follow_the_network_and_not_its_calibrator(toy, tmp_path):
    file = str(tmp_path / 'calibrator.json')
    Calibrator('temperature', 'single', 'confidence', [([0, 9], [0, 5])]).save(file)
    calibrated = dict(type='CalibrationMetric', calibrator=file, prefix='after')
    cfg = with_evaluator(calibrated)(toy.config(tmp_path / 'run'))
    with pytest.raises(ValueError, match="protocol='raw', without a calibrator"):
        Runner.from_cfg(cfg).train()
    both = with_evaluator(calibrated, dict(type='CalibrationMetric'))
    assert measuring_metric(Runner.from_cfg(both(cfg))).calibrator is None


def test_a_batch_whose_images_have_no_names_says_why():
    training = ImageTraining()
    training.levels = ImageLevels(['a.png'])
    with pytest.raises(ValueError, match='meta_keys'):
        training.before_iter(dict(data_samples=[SegDataSample()]), 0)


def test_options_of_levels_by_image_do_not_fit_levels_by_band():
    with pytest.raises(ValueError, match=r"levels='band'.*gain.*'rule'"):
        ASLPHook(levels='band', rule='MC')


def test_too_few_validations_are_an_error_with_the_line(toy, tmp_path):
    cfg = banded(toy, tmp_path / 'run', **{'custom_hooks.0.warmup_iters': 18})
    line = 'a longer training'
    with pytest.raises(ValueError, match=f'after validations only: 1 are .*{line}'):
        Runner.from_cfg(cfg).train()


def test_levels_of_0_are_said_at_the_end(toy, tmp_path):
    cfg = banded(toy, tmp_path / 'run', log_level='INFO')
    cfg.model.decode_head.init_cfg.bias = -3.0  # no object at all
    Runner.from_cfg(cfg).train()
    log = log_of(tmp_path / 'run')
    assert re.search(r'levels by band, from the border on: \d\.\d{4}, ', log)
    assert 'levels are 0: the network finds hardly any object' in log


@pytest.mark.release
def test_compiled_and_accumulated_steps(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', compile=dict(backend='eager'))
    cfg.optim_wrapper.accumulative_counts = 2
    cfg.custom_hooks.append(dict(type='EMAHook'))
    plain = toy.config(tmp_path / 'plain')
    plain.optim_wrapper.accumulative_counts = 2
    _, compiled = train(cfg)
    _, eager = train(plain)
    for ours, theirs in zip(compiled.iters, eager.iters):
        assert ours['loss'] == pytest.approx(theirs['loss'], rel=1e-4)
    assert compiled.levels[-1] == pytest.approx(eager.levels[-1], abs=1e-5)
    assert min(eager.levels[-1].values()) > 0


@pytest.mark.parametrize('kind', ['band', 'image'])
def test_epochs_of_a_warm_up_count_each_image_once(toy, tmp_path, kind):
    cfg = toy.config(tmp_path / 'run', by_epoch=False)
    cfg.train_cfg.update(max_iters=120, val_interval=2)
    cfg.custom_hooks = [dict(type='ASLPHook', levels=kind, warmup_epochs=2)]
    own = cfg.train_dataloader.dataset
    found = []
    for dataset in (own, dict(type='RepeatDataset', times=40, dataset=own)):
        cfg.train_dataloader.dataset = dataset
        cfg.work_dir = str(tmp_path / f'run{len(found)}')
        cfg.experiment_name = f'run{len(found)}'
        runner = Runner.from_cfg(cfg)
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        hook = next(hook for hook in runner.hooks if isinstance(hook, ASLPHook))
        found.append(hook._schedule(runner).warmup)
    assert found[0] == found[1] > 0


def test_an_image_without_a_label_has_no_error():
    errors = ImageErrors(batch=['known', 'ignored'])
    errors(torch.tensor([0.25, torch.nan]))
    assert errors.of_image == {'known': 0.25}
