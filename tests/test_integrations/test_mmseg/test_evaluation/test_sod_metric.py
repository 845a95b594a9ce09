import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from mmaslp import SODMetric, fit_calibrator
from mmaslp.integrations.mmseg.evaluation import metrics

library = pytest.importorskip('py_sod_metrics')


def images(number=4):
    """8-bit maps that use the whole range, so that stretching changes nothing."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(number):
        mask = np.zeros((40 + i, 30), np.uint8)
        mask[8:25, 5 + i : 20] = 1
        prob = 1 / (1 + np.exp(-(4 * mask - 2 + 1.5 * rng.normal(size=mask.shape))))
        prob = (prob - prob.min()) / (prob.max() - prob.min())
        found.append((np.rint(prob * 255).astype(np.uint8), mask))
    return found


def samples(pairs):
    return [
        dict(
            seg_logits=dict(
                data=torch.from_numpy(np.float32(p) / np.float32(255))[None]
            ),
            gt_sem_seg=dict(data=torch.from_numpy(m.astype(np.int64))[None]),
            img_path=f'{i}.png',
        )
        for i, (p, m) in enumerate(pairs)
    ]


def measured(each, **kwargs):
    metric = SODMetric(**kwargs)
    metric.process({}, each)
    return metric.evaluate(len(each))


def test_metrics_are_the_library_s():
    pairs = images()
    found = measured(samples(pairs))
    handler = library.FmeasureHandler(beta=0.3, with_adaptive=True, with_dynamic=True)
    fm = library.FmeasureV2({'fm': handler})
    em, sm = library.Emeasure(), library.Smeasure()
    wfm, mae = library.WeightedFmeasure(), library.MAE()
    for prob, mask in pairs:
        for measure in (fm, em, sm, wfm, mae):
            measure.step(prob, mask * 255)
    f, e = fm.get_results()['fm'], em.get_results()['em']
    expected = {
        'max_f': f['dynamic'].max(),
        'mean_f': f['dynamic'].mean(),
        'adp_f': f['adaptive'],
        'max_e': e['curve'].max(),
        'mean_e': e['curve'].mean(),
        'adp_e': e['adp'],
        's': sm.get_results()['sm'],
        'weighted_f': wfm.get_results()['wfm'],
        'mae': mae.get_results()['mae'],
    }
    for key, value in expected.items():
        assert found[f'sod/{key}'] == pytest.approx(value, abs=1e-9), key


def test_ap_and_auc_are_pooled():
    pairs = images()
    found = measured(samples(pairs))
    score = np.concatenate([p.ravel() for p, _ in pairs])
    label = np.concatenate([m.ravel() for _, m in pairs])
    assert found['sod/ap'] == pytest.approx(average_precision_score(label, score))
    assert found['sod/auc'] == pytest.approx(roc_auc_score(label, score))


def test_empty_masks_are_undefined_and_not_0():
    pairs = [(p, m * 0) for p, m in images()]
    found = measured(samples(pairs))
    for key in ('max_f', 'mean_f', 'adp_f', 'weighted_f', 'ap', 'auc'):
        assert np.isnan(found[f'sod/{key}']), key
    for key in ('mae', 's', 'max_e', 'mean_e'):
        assert 0 < found[f'sod/{key}'] < 1, key


def test_that_maps_are_calibrated_is_told(monkeypatch):
    pairs = images(12)
    maps = [np.float32(prob) / np.float32(255) for prob, _ in pairs]
    calibrator = fit_calibrator(maps, [mask for _, mask in pairs], method='identity')
    said = []

    def listen(message, **kwargs):
        said.append(message)

    monkeypatch.setattr(metrics, 'print_log', listen)
    measured(samples(pairs))
    assert not any('calibrated' in message for message in said)
    measured(samples(pairs), calibrator=calibrator)
    assert any('SODMetric measures calibrated maps (' in text for text in said)
