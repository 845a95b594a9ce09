import numpy as np
import pytest
from mmengine.runner import Runner

from mmaslp.evaluation.result import load_results
from mmaslp.metrics import BandTable
from tests.segmentor_samples import measured, pooled, sample


def test_metrics_are_those_of_all_pixels():
    samples = [sample(i, ignore=i % 2) for i in range(7)]
    metric, found = measured(samples)
    for key, value in pooled(samples).items():
        if key != 'count':
            assert found[f'calib/{key}'] == value, key
    assert all(type(value) is float for value in found.values())
    each = [pooled([s])['ece'] for s in samples]
    assert found['calib/ece_image'] == pytest.approx(np.mean(each))
    assert metric.result.num_images == 7
    assert metric.result.num_pixels == pooled(samples)['count']


def test_two_channels_are_logits():
    one = measured([sample(i) for i in range(5)])[1]
    two = measured([sample(i, channels=2) for i in range(5)])[1]
    for key, value in one.items():
        assert two[key] == pytest.approx(value, abs=1e-5), key


def test_released_protocol_stretches_every_image():
    samples = [sample(i) for i in range(3)]
    found = measured(samples, protocol='released')[1]
    for each in samples:
        p = each['seg_logits']['data']
        p = (p - p.min()) / (p.max() - p.min() + 1e-8)
        each['seg_logits']['data'] = (p * 255).round() / 255
    assert found == measured(samples)[1]


# ---- by band ----


def test_bands_are_those_of_all_images():
    samples = [sample(i, ignore=i % 2) for i in range(5)]
    metric, found = measured(samples)
    table = BandTable()
    for each in samples:
        prob, label = each['seg_logits']['data'][0], each['gt_sem_seg']['data'][0]
        table.update(prob, label)
    computed = table.compute()
    assert found['calib/ece_band'] == computed['ece_band']
    assert found['calib/ece_band_true'] == computed['ece_band_true']
    for k in range(5):
        for key in ('gap', 'share'):
            expected = computed[f'{key}s'][k]
            assert found.get(f'calib/band{k}_{key}', np.nan) == pytest.approx(
                expected, nan_ok=True
            )
    # On images as small as these two pixels are further apart than 3 units.
    assert found['calib/band0_share'] == 0 < found['calib/band2_share']
    assert 'calib/band0_gap' not in found
    assert 'calib/band2_gap' in found
    shares = table.table('true').weight.tolist()
    assert metric.result.bands['true'].weight.tolist() == shares


# ---- files and the host ----


def test_files(tmp_path):
    _, found = measured(
        [sample(i) for i in range(3)],
        draw=True,
        output_dir=str(tmp_path),
        keep_results=True,
        resamples=20,
    )
    [result] = load_results(tmp_path / 'calibration_test.json')
    assert {f'calib/{k}' for k in result.metrics} >= set(found)
    assert len(set(result.images.checksums)) == 3
    assert result.metrics['ece'] == pytest.approx(found['calib/ece'], abs=1e-12)
    assert result.num_images == 3
    for key in ('ece', 'ece_band'):
        low, high = result.intervals[key]
        assert 0 <= low < high <= 1
    for name in ('reliability', 'bands'):
        assert (tmp_path / f'{name}_test.png').stat().st_size > 5000


def test_runner_trains_validates_and_tests(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run', channels=2, log_level='ERROR')
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1)
    cfg.custom_hooks = []
    cfg.val_evaluator = cfg.test_evaluator = dict(type='CalibrationMetric')
    runner = Runner.from_cfg(cfg)
    runner.train()
    logs = next((tmp_path / 'run').glob('*/calibration_val.json')).parent
    # The validation of a training run is not drawn by default, a test is.
    assert not list(logs.rglob('reliability*'))
    metrics = runner.test()
    assert 0 <= metrics['calib/ece'] <= 1
    assert (logs / 'reliability_test.png').exists()
    assert (logs / 'bands_test.png').exists()
    for name in ('reliability', 'bands'):
        assert len(list(logs.rglob(f'vis_image/{name}_test*.png'))) == 1
    [result] = load_results(logs / 'calibration_test.json')
    assert (result.num_images, result.num_pixels) == (5, 5 * 16 * 16)
    assert all(name.endswith('.png') for name in result.images.names)
