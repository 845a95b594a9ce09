import numpy as np
import pytest
import torch

from tests.segmentor_samples import measured, sample


def test_scores_that_are_neither_in_any_image_are_refused():
    samples = [sample(i) for i in range(2)]
    for each in samples:
        shape = each['gt_sem_seg']['data'].shape[1:]
        each['seg_logits']['data'] = torch.rand(2, *shape) * 0.4
    with pytest.raises(ValueError, match=r'not add up to 1 in any image.*Mask2Former'):
        measured(samples)
    assert measured(samples, scores='logits')[1]['calib/conf'] < 0.61


def test_a_training_run_does_not_end_by_positive_logits(monkeypatch):
    samples = [sample(i, 2) for i in range(2)]
    for each in samples:
        each['seg_logits']['data'] += 100
    module = 'mmaslp.integrations.mmseg.evaluation.metrics'
    monkeypatch.setattr(f'{module}.is_training', lambda: True)
    assert 0 < measured(samples)[1]['calib/ece'] < 1


@pytest.mark.parametrize(
    'change, words',
    [
        ({'gt_sem_seg': None}, 'no gt_sem_seg.*LoadBinaryAnnotations'),
        ({'seg_logits': dict(data=torch.ones(1, 3, 3))}, '5.jpg.*Resize'),
        ({'seg_logits': dict(data=torch.full((1, 17, 9), 2.0))}, '5.jpg.*sigmoid'),
        ({'seg_logits': dict(data=torch.full((1, 17, 9), np.nan))}, '5.jpg.*NaN'),
        (
            {'gt_sem_seg': dict(data=torch.full((1, 17, 9), 7))},
            '5.jpg.*contains 7.*0 and 255',
        ),
    ],
)
def test_bad_samples_name_the_image(change, words):
    each = {k: v for k, v in (sample(5) | change).items() if v is not None}
    with pytest.raises(ValueError, match=f'(?s){words}'):
        measured([each])
