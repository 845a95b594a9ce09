from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import LoggerHook
from mmengine.runner import Runner

from mmaslp.core import ImageLevels
from mmaslp.hosts.mmseg.hooks.tracking import image_scalars, scalar_step
from tests.trackers import mlflow_run, tensorboard_steps, wandb_rows

PICTURES = {'alpha_histogram', 'reliability_val', 'bands_val'}


def tracked(toy, work_dir, *backends, **options):
    cfg = toy.config(work_dir, **options)
    cfg.custom_hooks[0].draw_histogram = True
    cfg.val_evaluator = [dict(type='CalibrationMetric', draw=True, resamples=0)]
    cfg.visualizer = dict(
        type='Visualizer',
        name=cfg.experiment_name,
        vis_backends=[dict(type=f'{name}VisBackend') for name in backends],
    )
    return cfg


def check_tensorboard(work_dir, steps):
    found = tensorboard_steps(next(work_dir.glob('*/vis_data')))
    assert found['scalars']['calib/ece'] == steps
    assert found['images'] == dict.fromkeys(PICTURES, steps)
    assert found['histograms'] == {'alpha_levels': steps}


@pytest.mark.release
def test_all_trackers_at_epochs(toy, tmp_path, monkeypatch):
    for library in ('tensorboard', 'mlflow', 'wandb'):
        pytest.importorskip(library)
    monkeypatch.setenv('MLFLOW_ALLOW_FILE_STORE', 'true')
    monkeypatch.setenv('MLFLOW_DISABLE_TELEMETRY', 'true')
    monkeypatch.setenv('WANDB_MODE', 'offline')
    monkeypatch.setenv('WANDB_SILENT', 'true')
    run = tmp_path / 'run'
    cfg = tracked(toy, run, 'Tensorboard', 'MLflow', 'Wandb')
    cfg.train_cfg.max_epochs = 2
    Runner.from_cfg(cfg).train()

    check_tensorboard(run, [1, 2])
    metrics, pictures = mlflow_run(next(run.glob('*/vis_data')))
    assert metrics['calib/ece'] == [1, 2]
    assert pictures == {name: [1, 2] for name in PICTURES}
    rows = [row for row in wandb_rows(run) if 'calib/ece' in row]
    assert len(rows) == 2
    for row in rows:
        assert 'alpha_levels.bins' in row
        assert {f'{name}.path' for name in PICTURES} <= row.keys()


@pytest.mark.parametrize(
    ('hooks', 'step'),
    [
        ([LoggerHook(log_metric_by_epoch=True)], 2),
        ([LoggerHook(log_metric_by_epoch=False)], 10),  # also under an epoch loop
        ([], 10),
    ],
)
def test_step_is_that_of_the_logger(hooks, step):
    assert scalar_step(SimpleNamespace(hooks=hooks, epoch=2, iter=10)) == step


def test_scalars_of_the_levels():
    made = ImageLevels(map(str, range(101)))
    levels = torch.linspace(0, 0.4, 101)
    made.alpha.copy_(levels[torch.randperm(101)])
    found = image_scalars(made)
    assert found == pytest.approx(
        dict(alpha_p05=0.02, alpha_p50=0.2, alpha_p95=0.38, alpha=0.2)
    )
