import numpy as np
import torch

from mmaslp.common.bands import border_bands
from mmaslp.files.synthetic import make_scene

SIZE = 64


def scene(seed, **kwargs):
    return make_scene(np.random.default_rng(seed), SIZE, **kwargs)


def test_objects_are_salient_and_differ():
    masks = [scene(seed)[1] > 0 for seed in range(60)]
    shares = np.array([mask.mean() for mask in masks])
    assert 0.05 < np.median(shares) < 0.3
    assert shares.min() > 0.005
    middle = np.mean([mask[16:48, 16:48].mean() for mask in masks])
    assert middle > 2 * np.mean([mask[:16].mean() for mask in masks])
    assert len({mask.tobytes() for mask in masks}) == len(masks)


def test_outlines_are_off_by_the_error():
    shares = []
    for seed in range(20):
        (image, exact), (same, mask) = (
            scene(seed, outline_error=0),
            scene(seed, outline_error=0.025),
        )
        np.testing.assert_array_equal(image, same)
        assert set(np.unique(mask)) <= {0, 255}
        far = border_bands(torch.from_numpy(exact)[None] > 0)[0].numpy() == 4
        assert not (mask != exact)[far].any()  # farther than 8 pixels of 64
        shares.append((mask != exact).mean())
    assert 0.005 < np.median(shares) < 0.06
