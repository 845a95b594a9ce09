import itertools

import numpy as np
import pytest
import torch

from mmaslp.metrics import BandTable, CalibrationHistogram
from mmaslp.metrics.errors import binned_metrics
from tests.test_metrics import band_reference as reference
from tests.test_metrics.scenes import scene

pytest.importorskip('scipy')

# One pixel per cell; larger cells, whole and cut at both edges; several strips.
SIZES = [(40, 23), (64, 64), (128, 192), (130, 131), (97, 389), (400, 501)]


def table_of(*images):
    table = BandTable()
    for image in images:
        table.update(*image)
    return table


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('ignored', [False, True])
def test_sums_are_those_of_the_definition(size, ignored):
    image = scene(*size, ignored=ignored)
    assert (reference.sums([image])[..., 0] > 0).sum() >= 6
    assert np.array_equal(table_of(image).sums, reference.sums([image]))


@pytest.mark.parametrize('ignored', [False, True])
def test_errors_are_within_rounding_of_float64(ignored):
    images = []
    for seed, size in enumerate(SIZES):
        prob, label = scene(*size, seed, ignored)
        images.append((prob.double() * 0.9999999 + 1e-9, label))
    found = table_of(*images).compute()
    one, two = reference.errors(images)
    assert found['ece_band'] == pytest.approx(one, abs=3e-8)
    assert found['ece_band_true'] == pytest.approx(two, abs=3e-8)


def test_all_bands_together_are_the_histogram():
    image = scene(150, 110, ignored=True)
    table, histogram = table_of(image), CalibrationHistogram()
    histogram.update(*image)
    expected = histogram.compute()
    for border in ('predicted', 'true'):
        metrics = binned_metrics(table.table(border))
        assert metrics['acc'] == expected['acc']
        assert metrics['conf'] == pytest.approx(expected['conf'], abs=4e-6)
    assert table.count == histogram.count


def test_ignored_pixels_count_nowhere_but_may_make_the_predicted_border():
    prob, label = torch.full((64, 64), 0.1), torch.zeros(64, 64)
    prob[:, 32:], label[:, 32:] = 0.9, 255
    table = table_of((prob, label))
    assert table.count == 64 * 32
    predicted, true = table.sums[..., 0].tolist()
    assert predicted == [64, 64, 128, 256, 1536]
    assert true == [0, 0, 0, 0, 2048]
    prob[:, 32:] = float('nan')
    assert table_of((prob, label)).sums[0, -1, 0] == 64 * 32
    label[:] = 255
    assert not table_of((prob, label)).sums.any()


def test_batches_images_and_merges_agree():
    sizes = [(64, 64), (30, 50), (150, 140), (64, 64)]
    images = [scene(*size, seed) for seed, size in enumerate(sizes)]
    whole = table_of(*images)
    for order in itertools.permutations(range(4)):
        merged = BandTable()
        for i in order:
            merged.merge(table_of(images[i]))
        assert torch.equal(merged.totals, whole.totals)
    batch = [torch.stack([images[0][k], images[3][k]]) for k in (0, 1)]
    batch[1][1, 10:20] = 255
    alone = [(batch[0][i], batch[1][i]) for i in (0, 1)]
    assert torch.equal(table_of(batch).totals, table_of(*alone).totals)
    large = [scene(200, 180, seed, ignored=True) for seed in (0, 1)]
    batch = [torch.stack(each) for each in zip(*large)]
    assert torch.equal(table_of(batch).totals, table_of(*large).totals)


@pytest.mark.parametrize(
    ('prob', 'label', 'words'),
    [
        (torch.rand(4), torch.zeros(4), r'must be \(\.\.\., H, W\)'),
        (torch.rand(1, 2, 4, 4), torch.zeros(1, 4, 4), 'softmax channels give the sec'),
        (torch.rand(3, 4, 4), torch.zeros(3, 2, 4, 4), 'must have one shape'),
        (torch.rand(4, 4), torch.zeros(4, 5), 'has shape'),
        (torch.ones(4, 4).long(), torch.zeros(4, 4), 'divide 8-bit values by 255'),
        (torch.full((4, 4), float('nan')), torch.zeros(4, 4), '16 NaN values'),
        (torch.full((4, 4), 1.1), torch.zeros(4, 4), 'apply sigmoid'),
        (torch.rand(4, 4), torch.full((4, 4), 2), 'masks of 0 and 255'),
    ],
)
def test_bad_input_is_refused_and_not_counted(prob, label, words):
    table = BandTable()
    with pytest.raises(ValueError, match=words):
        table.update(prob, label)
    assert not table.sums.any()


# ---- shapes ----


@pytest.mark.parametrize(
    ('shape', 'label_shape'),
    [
        ((2, 1), (2,)),
        ((2, 1), (2, 1)),
        ((2, 2), (2, 2)),
        ((2, 3), (2, 3)),
        ((2, 1, 4), (2, 4)),
        ((2, 3, 4), (2, 3, 4)),
    ],
)
@pytest.mark.parametrize('ignored', [False, True])
def test_channels_and_slices_are_maps_of_their_own(shape, label_shape, ignored):
    maps = [scene(70, 50, seed, ignored) for seed in range(int(np.prod(shape)))]
    prob = torch.stack([prob for prob, _ in maps]).view(*shape, 70, 50)
    label = torch.stack([label for _, label in maps]).view(*label_shape, 70, 50)
    found = table_of((prob, label))
    assert torch.equal(found.sums, table_of(*maps).sums)
    # All maps of one of N are one image.
    assert found.compute()['num_images'] == 2
    assert found.compute()['iou'] == table_of(*maps).compute()['iou']


# ---- what the masks are worth ----


def masks(number=9, seed=0, size=(40, 30)):
    """Maps and labels whose foreground differs from image to image."""
    rng = np.random.default_rng(seed)
    prob, label = rng.random((2, number, *size)).astype(np.float32)
    label = (label < rng.random((number, 1, 1))).astype(np.uint8)
    label[rng.random(label.shape) < 0.1] = 255
    return prob, label


def test_figures_of_the_masks():
    prob, label = masks()
    valid = label != 255
    predicted, true = (prob > 0.5) & valid, label == 1
    inter, union = (predicted & true).sum((1, 2)), (predicted | true).sum((1, 2))
    right = ((predicted == true) & valid).sum((1, 2)) / valid.sum((1, 2))
    found = table_of((prob, label)).compute()
    assert found['iou'] == pytest.approx(inter.sum() / union.sum(), rel=1e-12)
    assert found['recall'] == pytest.approx(inter.sum() / true.sum(), rel=1e-12)
    assert found['num_images'] == 9
    assert found['acc_se'] == pytest.approx(right.std(ddof=1) / 3, rel=1e-4)
    t, u = inter / valid.sum((1, 2)), union / valid.sum((1, 2))
    residual = t - t.sum() / u.sum() * u
    expected = np.sqrt(9 / 8 * (residual**2).sum()) / u.sum()
    assert found['iou_se'] == pytest.approx(expected, rel=1e-4)
