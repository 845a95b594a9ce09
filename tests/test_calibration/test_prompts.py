"""Expected IoU of prompts, on squares that a noisy network finds in part."""

import json

import numpy as np
import pytest
import torch

from mmaslp.calibration.prompts import (
    PromptJudge,
    PromptTable,
    crop_to_box,
    fit_prompts,
)

BOX = [8, 8, 24, 24]


def prompts(images, seed=0, number=2):
    """Logits, boxes, masks and scores; a weaker mask lacks more and is less sure."""
    rng = np.random.default_rng(seed)
    for image in range(images):
        logits = np.full((number, 1, 32, 32), -5.0, np.float32)
        masks = np.zeros((number, 32, 32), np.uint8)
        masks[:, 8:24, 8:24] = 1
        quality = rng.random(number)
        for row, good in enumerate(quality):
            missing = round(8 * (1 - good))
            logits[row, 0, 8 : 24 - missing, 8:24] = 0.3 + 3 * good
        logits += rng.normal(0, 0.2, logits.shape)
        scores = np.clip(quality + rng.normal(0, 0.3, number), 0, 1)[:, None]
        yield image, logits.astype(np.float32), [BOX] * number, masks, scores


def table_of(images, seed=0, with_scores=True):
    table = PromptTable()
    for image, logits, boxes, masks, scores in prompts(images, seed):
        table.update(logits, boxes, masks, image, scores if with_scores else None)
    return table


@pytest.fixture(scope='module')
def judge():
    return fit_prompts(table_of(60))


def test_a_crop_is_the_box_times_two_within_the_image():
    values = torch.arange(32 * 32.0).reshape(32, 32)
    crop, area = crop_to_box(values, np.array([10.0, 12, 18, 16]))
    assert torch.equal(crop, values[10:18, 6:22])
    assert area == 32
    assert crop_to_box(values, np.array([0.0, 0, 32, 32]))[0].shape == (32, 32)


def test_the_true_iou_is_of_the_mask_above_zero():
    table = PromptTable()
    logits = torch.full((2, 1, 8, 8), -3.0)
    logits[0, 0, 2:6, 2:4] = 3
    masks = torch.zeros(2, 8, 8)
    masks[0, 2:6, 2:6] = 1
    table.update(logits, [[2, 2, 6, 6]] * 2, masks, 'image')
    assert table.iou == [0.5, 1.0]
    assert table.groups == ['image'] * 2
    assert np.isnan(table.features[1]).all()


def test_expected_iou_and_its_bound_hold_for_other_images(judge):
    new = table_of(60, seed=1)
    iou = np.array(new.iou)
    found = judge.estimate(np.array(new.features))
    error = np.abs(found.iou - iou).mean()
    assert error < 0.5 * np.abs(np.median(iou) - iou).mean()
    assert judge.error == pytest.approx(error, abs=0.02)
    assert 0.82 <= (iou >= found.iou_low).mean() <= 0.97
    assert (found.iou_low <= found.iou).all()


def test_a_call_gives_what_its_features_give(judge):
    new = table_of(3, seed=2)
    wanted = judge.estimate(np.array(new.features), 0.8)
    found = [
        judge(logits, boxes, scores, level=0.8)
        for _, logits, boxes, _, scores in prompts(3, 2)
    ]
    np.testing.assert_allclose(np.concatenate([f.iou for f in found]), wanted.iou)
    np.testing.assert_allclose(
        np.concatenate([f.iou_low for f in found]), wanted.iou_low
    )


def test_an_empty_mask_is_expected_to_be_wrong(judge):
    empty = torch.full((1, 1, 32, 32), -3.0)
    found = judge(empty, [BOX], [[0.9]])
    assert found.iou.tolist() == found.iou_low.tolist() == [0]


def test_logits_hardly_above_0_are_an_empty_mask(judge):
    hardly = torch.full((1, 1, 32, 32), -3.0)
    hardly[..., 14, 14] = 0.01992
    assert judge(hardly, [BOX], [[0.9]]).iou.tolist() == [0]


def test_it_is_kept_in_a_file(judge, tmp_path):
    file = tmp_path / 'prompts.json'
    judge.save(file)
    assert PromptJudge.load(file) == judge
    with pytest.raises(FileExistsError):
        judge.save(file)
    content = json.loads(file.read_text())
    for wrong in (
        {**content, 'version': 1},
        {**content, 'weights': [1]},
        {**content, 'iou': [2.0] * len(content['iou'])},
        {'format': 'mmaslp prompts'},
        [],
    ):
        file.write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match=r'is not what PromptJudge\.save wrote'):
            PromptJudge.load(file)


def test_images_are_fitted_or_measured_never_both():
    """Copies of an image under one name do not make the error smaller."""
    copies = PromptTable()
    for image, logits, boxes, masks, scores in prompts(20):
        for _ in range(2):
            copies.update(logits, boxes, masks, image, scores)
    assert fit_prompts(copies).images == 20


def test_what_does_not_belong_together_is_refused(judge):
    _, logits, boxes, masks, _ = next(prompts(1))
    table = table_of(1)
    for arguments, message in (
        ((logits[:, 0], boxes, masks, 0), r'\(N, 1, H, W\)'),
        ((logits, boxes[:1], masks, 0), 'boxes'),
        ((logits, [[8, 8, 8, 24]] * 2, masks, 0), 'not be empty'),
        ((logits, boxes, masks[:1], 0), 'one for each prompt'),
        ((logits, boxes, masks * 255, 0), 'masks must be 0 and 1'),
        ((logits, boxes, masks, None), 'group must be a name: one is None'),
        ((logits, boxes, masks, [0]), 'group must be a name'),
        ((logits > 0, boxes, masks, 0), 'logits must be floating point'),
        ((logits, [BOX, [40, 40, 48, 48]], masks, 0), 'box 1 lies outside of its map'),
        ((logits, [[0.2, 0.2, 0.8, 0.8]] * 2, masks, 0), 'multiply them by width'),
        ((logits, boxes, masks, 1), 'before have 1 scores .* these have 0: give all'),
    ):
        with pytest.raises(ValueError, match=message):
            table.update(*arguments)
    assert len(table.iou) == 2  # of the image that was there
    table.update(logits[:0], boxes[:0], masks[:0], 1)  # an image without prompts
    assert len(table.iou) == 2
    assert judge(logits[:0], np.zeros((0, 4))).iou.shape == (0,)
    with pytest.raises(ValueError, match='1 scores of the model'):
        judge(logits, boxes)
    with pytest.raises(ValueError, match='too few'):
        fit_prompts(table_of(5))
    assert fit_prompts(table_of(20, with_scores=False)).num_scores == 0


def test_tensors_of_a_model_are_taken_as_they_are(judge):
    of_tensors = PromptTable()
    for image, logits, boxes, masks, scores in prompts(20):
        given = torch.tensor(boxes).float().requires_grad_()
        group = torch.tensor(image)
        scores = torch.tensor(scores).requires_grad_()
        of_tensors.update(torch.tensor(logits), given, masks, group, scores)
    assert fit_prompts(of_tensors) == fit_prompts(table_of(20))


def test_empty_masks_of_the_fit_do_not_narrow_the_bound():
    """Nothing is expected of an empty mask, so no error is made of it."""
    table, with_empty = table_of(40), table_of(40)
    empty = np.full((20, 1, 32, 32), -3.0, np.float32)
    masks = np.ones((20, 32, 32), np.uint8)
    scores = np.full((20, 1), 0.5)
    for image in range(100, 140):
        with_empty.update(empty, [BOX] * 20, masks, image, scores)
    _, logits, boxes, _, scores = next(prompts(1, seed=5))
    expected = fit_prompts(table)(logits, boxes, scores)
    found = fit_prompts(with_empty)(logits, boxes, scores)
    np.testing.assert_allclose(found.iou_low, expected.iou_low)
