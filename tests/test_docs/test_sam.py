"""The blocks of docs/sam.md, run as they stand on a tiny SAM of random weights."""

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip('transformers')
pytest.importorskip('torchvision')

import transformers

from tests.test_docs.test_doors import blocks

PAGE = 'docs/sam.md'


def tiny_sam():
    vision = dict(
        hidden_size=16,
        output_channels=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=64,
        patch_size=8,
        window_size=4,
        global_attn_indexes=[0],
        num_pos_feats=8,
    )
    config = transformers.SamConfig(
        vision_config=transformers.SamVisionConfig(**vision),
        prompt_encoder_config=transformers.SamPromptEncoderConfig(
            hidden_size=16, image_size=64, patch_size=8
        ),
        mask_decoder_config=transformers.SamMaskDecoderConfig(
            hidden_size=16,
            mlp_dim=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            iou_head_hidden_dim=16,
        ),
    )
    torch.manual_seed(0)
    return transformers.SamModel(config).eval()


def pictures(number):
    rng = np.random.default_rng(0)
    boxes = [[8, 8, 24, 24], [30, 20, 50, 44], [4, 30, 20, 60]]
    masks = np.zeros((3, 64, 64), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes):
        mask[top:bottom, left:right] = 1
    for _ in range(number):
        pixels = 180 * masks.max(0)[..., None] + rng.integers(0, 60, (64, 64, 3))
        yield Image.fromarray(pixels.astype(np.uint8)), boxes, masks


def test_the_blocks_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tiny_sam()

    def with_masks(*args, **kwargs):
        """The masks of random weights may all be empty: put zero in their middle."""
        outputs = model(*args, **kwargs)
        masks = outputs.pred_masks
        outputs.pred_masks = masks - masks.mean((-2, -1), keepdim=True)
        return outputs

    processor = transformers.SamProcessor(
        transformers.SamImageProcessor(
            size=dict(longest_edge=64), pad_size=dict(height=64, width=64)
        )
    )
    names = dict(model=with_masks, processor=processor, validation=[*pictures(12)])
    fit, use, give_back = blocks(PAGE)
    exec(fit, names)
    assert names['judge'].images == 12
    assert names['judge'].num_scores == 1

    exec(use, names)
    exec(give_back, names)
    assert names['predicted_iou'].shape == (3,)
    assert [set(row) for row in names['rows']] == [{'iou', 'iou_low'}] * 3
    assert all(0 <= row['iou_low'] <= row['iou'] <= 1 for row in names['rows'])
