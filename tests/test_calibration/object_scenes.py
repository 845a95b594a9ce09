"""Scenes whose network is too sure: some of what it finds is not there."""

import numpy as np
from PIL import Image

from mmaslp import Calibrator
from mmaslp.calibration.decisions import Decisions, Predictor
from mmaslp.calibration.features import DOMAIN_FEATURES
from mmaslp.files.prob_maps import write_prob_map
from mmaslp.metrics.image_metrics import object_auroc, object_ece
from mmaslp.metrics.objects import MaskTable

# It halves logits, and knows objects and one image.
JUDGING = Calibrator(
    'temperature',
    'single',
    'confidence',
    [([0, 10], [0, 5])],
    decisions=Decisions(
        objects=Predictor('logistic', [0.0, 0.0]),
        features=[[0.1] * len(DOMAIN_FEATURES)],
        expected=[0.5],
        dice=[0.5],
        area_errors=[0.0],
        accuracy_errors=[0.0],
        empty=[5, 2],
        cuts=[[0.0, 1.0, 0.0, 0.5]],
    ),
)


def discs(seed, size=48, depth=None, share_real=0.5, number=3):
    """A map and its mask: discs, or balls, of which a part is real.

    What is not real is smaller and paler, as networks' inventions are.
    """
    rng = np.random.default_rng(seed)
    shape = (size, size) if depth is None else (depth, size, size)
    prob = rng.uniform(0, 0.1, shape)
    mask = np.zeros(shape, np.uint8)
    places = rng.permutation(4)[:number]
    for place in places:
        real = rng.random() < share_real
        radius = rng.uniform(5, 8) if real else rng.uniform(4, 7)
        centre = np.array([size // 4, size // 4]) + size // 2 * np.array(
            [place // 2, place % 2]
        )
        centre = centre if depth is None else np.array([depth // 2, *centre])
        axes = np.indices(shape) - centre.reshape(-1, *[1] * len(shape))
        inside = np.sqrt((axes**2).sum(0)) < radius
        level = rng.uniform(0.8, 0.99) if real else rng.uniform(0.7, 0.95)
        prob[inside] = np.clip(level + rng.normal(0, 0.03, inside.sum()), 0.55, 0.999)
        mask[inside] = real
    return prob, mask


def write_scenes(root, number, first=0, **options):
    """Folders of maps (16-bit PNG, volumes npz) and masks (PNG, volumes NIfTI)."""
    maps, masks = root / 'maps', root / 'masks'
    for folder in (maps, masks):
        folder.mkdir(parents=True)
    for k in range(first, first + number):
        prob, mask = discs(k, **options)
        if prob.ndim == 3:
            both = np.stack([1 - prob, prob]).astype(np.float32)  # as nnU-Net
            np.savez(maps / f'{k:03}.npz', probabilities=both)
            import nibabel

            # NIfTI counts its axes the other way round.
            image = nibabel.Nifti1Image(mask.transpose(2, 1, 0), np.eye(4))
            nibabel.save(image, masks / f'{k:03}.nii.gz')
        else:
            write_prob_map(maps / f'{k:03}.png', prob, bits=16)
            Image.fromarray(mask * np.uint8(255)).save(masks / f'{k:03}.png')
    return maps, masks


def object_figures(prob, real):
    """ECE, NLL and AUROC of objects, by their probability and outcome."""
    nothing = np.full(1, np.nan)
    inside = np.clip(prob, 1e-6, 1 - 1e-6)
    table = MaskTable([np.column_stack([prob, real])], nothing, nothing, nothing)
    return {
        'ece_object': float(object_ece(table)),
        'nll_object': float(-np.log(np.where(real, inside, 1 - inside)).mean()),
        'auroc_object': object_auroc(table),
    }
