"""Models with queries, and the scores that processors of Hugging Face give."""

import inspect

import numpy as np
import pytest
import torch

pytest.importorskip('transformers')
pytest.importorskip('accelerate')
pytest.importorskip('torchvision')

import transformers

from mmaslp import Calibrator, fit_calibrator
from mmaslp.integrations.transformers import (
    calibrate_scores,
    calibrated,
    foreground_logits,
    logits_of_scores,
)
from tests.transformers_toy import Squares, segformer

HALVE = Calibrator('temperature', 'single', 'confidence', [([0, 10], [0, 5])])
SIZES = [(48, 40), (30, 50)]


def swin():
    return transformers.SwinConfig(
        image_size=32,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 1, 1],
        window_size=4,
        out_features=['stage1', 'stage2', 'stage3', 'stage4'],
    )


def mask2former(num_labels=2):
    config = transformers.Mask2FormerConfig(
        backbone_config=swin(),
        num_labels=num_labels,
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        dim_feedforward=16,
        num_queries=5,
    )
    return transformers.Mask2FormerForUniversalSegmentation(config)


def oneformer(num_labels=2):
    config = transformers.OneFormerConfig(
        backbone_config=swin(),
        num_labels=num_labels,
        num_queries=5,
        hidden_dim=32,
        mask_dim=32,
        conv_dim=32,
        encoder_feedforward_dim=16,
        encoder_layers=1,
        decoder_layers=2,
        dim_feedforward=16,
        num_attention_heads=2,
        text_encoder_width=16,
        text_encoder_vocab_size=50,
        text_encoder_context_length=5,
        text_encoder_num_layers=1,
        query_dec_layers=1,
        task_seq_len=5,
        is_training=False,
    )
    return transformers.OneFormerForUniversalSegmentation(config)


def maskformer(num_labels=2):
    config = transformers.MaskFormerConfig(
        backbone_config=swin(),
        num_labels=num_labels,
        fpn_feature_size=32,
        mask_feature_size=32,
        decoder_config=transformers.DetrConfig(
            d_model=32,
            encoder_layers=1,
            decoder_layers=1,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            num_queries=5,
        ),
    )
    return transformers.MaskFormerForInstanceSegmentation(config)


FAMILIES = {
    'MaskFormer': (maskformer, 'MaskFormerImageProcessor'),
    'Mask2Former': (mask2former, 'Mask2FormerImageProcessor'),
    'OneFormer': (oneformer, 'OneFormerImageProcessor'),
}


def processor_of(family):
    """One without settings, which masks do not need and OneFormer would download."""
    kind = getattr(transformers, FAMILIES[family][1])
    return kind.__new__(kind)


def inputs_of(family):
    inputs = dict(pixel_values=Squares(2).images)
    if family == 'OneFormer':
        inputs['task_inputs'] = torch.ones(2, 5, dtype=torch.long)
    return inputs


def needs_scores(processor):
    """Skip where the processor has no scores yet."""
    function = processor.post_process_semantic_segmentation
    if 'return_segmentation_scores' not in inspect.signature(function).parameters:
        pytest.skip(f'transformers {transformers.__version__} gives no scores')


def model_of(family, num_labels=2):
    """Random weights, whose masks are not all of one class."""
    torch.manual_seed(1)
    model = FAMILIES[family][0](num_labels).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if 'class_predictor' in name or 'class_embed' in name:
                value.mul_(30)
    return model


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


def test_a_pixel_of_queries_is_classes_times_masks(family):
    model = model_of(family)
    with torch.no_grad():
        outputs = model(**inputs_of(family))
        found = foreground_logits(outputs, (32, 32))
    classes = outputs.class_queries_logits.softmax(-1)
    masks = outputs.masks_queries_logits.sigmoid()
    scores = sum(
        classes[:, query, :2, None, None] * masks[:, query, None] for query in range(5)
    )
    scores = torch.nn.functional.interpolate(scores, (32, 32), mode='bilinear')
    share = scores[:, 1] / (scores[:, 0] + scores[:, 1])
    assert found.shape == (2, 32, 32)
    torch.testing.assert_close(found.sigmoid(), share, atol=2e-6, rtol=0)
    assert torch.equal(found > 0, scores.argmax(1) == 1)


def test_one_label_is_a_probability_by_itself(family):
    model = model_of(family, num_labels=1)
    with torch.no_grad():
        outputs = model(**inputs_of(family))
        found = foreground_logits(outputs, outputs.masks_queries_logits.shape[-2:])
    classes = outputs.class_queries_logits.softmax(-1)[..., 0]
    masks = outputs.masks_queries_logits.sigmoid()
    score = torch.einsum('bq,bqhw->bhw', classes, masks).clamp(1e-6, 1 - 1e-6)
    torch.testing.assert_close(found.sigmoid(), score, atol=1e-6, rtol=0)


def test_more_labels_are_refused():
    outputs = model_of('Mask2Former', 3)(**inputs_of('Mask2Former'))
    with pytest.raises(ValueError, match='num_labels=2'):
        foreground_logits(outputs, (32, 32))


def test_a_calibrated_model_of_queries_goes_through_its_processor(family):
    processor = processor_of(family)
    inputs = inputs_of(family)
    with torch.no_grad():
        raw = foreground_logits(model_of(family)(**inputs), (32, 32))
        outputs = calibrated(model_of(family), HALVE)(**inputs)
    found = foreground_logits(outputs, (32, 32))
    torch.testing.assert_close(found, HALVE.logits(raw), atol=1e-4, rtol=0)
    masks = processor.post_process_semantic_segmentation(outputs, [(32, 32)] * 2)
    different = (torch.stack(masks) != (raw > 0)).float().mean()
    assert different < 0.02  # Mask2Former makes 384 px of all masks before


def test_scores_of_queries_are_read_and_given_back(family):
    processor = processor_of(family)
    needs_scores(processor)
    with torch.no_grad():
        outputs = model_of(family)(**inputs_of(family))
    raw = processor.post_process_semantic_segmentation(
        outputs, SIZES, return_segmentation_scores=True
    )
    logits = logits_of_scores(raw, 'probabilities')
    new = calibrate_scores(raw, HALVE, 'probabilities')
    for image, logit, given_back, size in zip(raw, logits, new, SIZES):
        assert torch.equal(image.segmentation == 1, logit > 0)
        assert torch.equal(given_back.segmentation, image.segmentation)
        assert given_back.segmentation_scores.shape == (2, *size)
        wanted = HALVE.logits(logit).sigmoid()
        torch.testing.assert_close(given_back.segmentation_scores[1], wanted)
        assert type(given_back) is type(image)
    with pytest.warns(UserWarning, match="say scores='probabilities'"):
        logits_of_scores(raw)
    with pytest.raises(ValueError, match='these maps are calibrated already'):
        calibrate_scores(new, HALVE, 'probabilities')


@pytest.mark.filterwarnings('ignore:foreground is hardly more frequent')
def test_scores_of_logits_are_read_and_given_back(tmp_path):
    processor = transformers.SegformerImageProcessor()
    needs_scores(processor)
    data = Squares(12)
    with torch.no_grad():
        outputs = segformer().eval()(data.images)
    raw = processor.post_process_semantic_segmentation(
        outputs, [(32, 32)] * 12, return_segmentation_scores=True
    )
    logits = logits_of_scores(raw)
    torch.testing.assert_close(
        torch.stack(logits), foreground_logits(outputs, (32, 32))
    )

    calibrator = fit_calibrator(logits, data.labels, logits=True, method='temperature')
    calibrator.save(tmp_path / 'calibrator.json')
    new = calibrate_scores(raw, tmp_path / 'calibrator.json')
    for logit, image in zip(logits, new):
        prob = image.segmentation_scores.softmax(0)[1]
        torch.testing.assert_close(prob, calibrator.logits(logit).sigmoid())
    assert calibrate_scores([], calibrator) == []
    assert len(calibrate_scores(iter(raw), calibrator)) == 12
    with pytest.raises(ValueError, match="no probabilities: say scores='logits'"):
        logits_of_scores(raw, 'probabilities')
    for size in (32, (12, 3, 32, 32)):
        with pytest.raises(ValueError, match='size must be height and width'):
            foreground_logits(outputs, size)


def test_what_holds_no_scores_is_refused():
    with pytest.raises(ValueError, match='return_segmentation_scores=True'):
        logits_of_scores([torch.zeros(4, 4)])
    with pytest.raises(ValueError, match='scores must be'):
        logits_of_scores([], 'shares')
    with pytest.raises(ValueError, match=r'scores \(3, 4, 4\)'):
        image = type('Image', (), dict(segmentation_scores=torch.zeros(3, 4, 4)))
        logits_of_scores([image])


def test_scores_of_one_channel_are_probabilities():
    """As SAM 3 gives them."""
    prob = torch.linspace(0, 1, 12).reshape(1, 3, 4)
    image = type('Image', (), dict(segmentation_scores=prob))
    [logit] = logits_of_scores([image], 'probabilities')
    np.testing.assert_allclose(logit.sigmoid(), prob[0], atol=1e-6)
    assert torch.isfinite(logit).all()
