import pytest
import torch
from mmseg.registry import MODELS

from mmaslp.core.measure.border_temperature import BorderTemperatures, divisor
from mmaslp.hosts.mmseg.divided_scores import divided_scores

CHANNELS = pytest.mark.parametrize('channels', [1, 2])
BY_REGION = BorderTemperatures((3, 1.7, 0.8, 1.7, 3))


def built(cfg):
    return MODELS.build(dict(cfg.model, _scope_='mmseg'))


def logit(scores):
    scores = scores.double()
    return scores[0].logit() if len(scores) == 1 else scores[1] - scores[0]


@CHANNELS
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('temperature', [1.7, BY_REGION])
def test_half_precision_stays_on_its_side(toy, tmp_path, channels, dtype, temperature):
    model = built(toy.config(tmp_path, channels=channels))
    logits = (torch.randn(1, channels, 200, 200) * 1e-2).to(dtype)
    (plain,) = model.postprocess_result(logits, None)
    (sample,) = divided_scores(model.postprocess_result, temperature)(logits, None)
    prediction = plain.pred_sem_seg.data
    assert torch.equal(sample.pred_sem_seg.data, prediction)
    score = logit(sample.seg_logits.data)
    # bfloat16 has no number between 0.5 and 0.5039.
    assert torch.equal(score > 0, prediction[0].bool())
    z = logits[0, -1].float() - (logits[0, 0].float() if channels == 2 else 0)
    expected = (z / divisor(z, temperature)).std().item()
    assert score.std().item() == pytest.approx(expected, rel=5e-2)


@CHANNELS
def test_plain_scores_are_kept_where_asked(toy, tmp_path, channels):
    model = built(toy.config(tmp_path, channels=channels))
    logits = torch.randn(2, channels, 16, 16)
    plain = model.postprocess_result(logits, None)
    divided = divided_scores(model.postprocess_result, 2.0, 'plain')(logits, None)
    for one, two in zip(plain, divided):
        assert torch.equal(two.get('plain').data, one.seg_logits.data)
        assert torch.allclose(
            logit(two.seg_logits.data), logit(one.seg_logits.data) / 2, atol=1e-5
        )


def test_three_channels_are_refused(toy, tmp_path):
    model = built(toy.config(tmp_path, channels=2))
    with pytest.raises(ValueError, match='gives 3 channels'):
        divided_scores(model.postprocess_result, 2.0)(torch.zeros(1, 3, 8, 8), None)
