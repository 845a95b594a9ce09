"""Built datasets; tests/hostile/test_silent.py trains and tests on wrong ones."""

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, TRANSFORMS
from PIL import Image

from mmaslp.hosts.mmseg.datasets.examining import (
    examine_datasets,
    ignored_objects,
    shared_images,
)


@TRANSFORMS.register_module()
class HalvesMask:
    """As a user's own transform behind LoadAnnotations."""

    def __call__(self, results):
        results['gt_seg_map'] = (results['gt_seg_map'] > 127).astype(np.uint8)
        return results


@pytest.fixture
def build(tmp_path, image_folder):
    init_default_scope('mmseg')
    image_folder(tmp_path / 'a', 3, seed=0)
    image_folder(tmp_path / 'b', 2, seed=1)

    def make(folder, *loaders):
        steps = ['LoadImageFromFile', *loaders, 'PackSegInputs']
        cfg = dict(
            type='SODDataset',
            data_root=str(tmp_path / folder),
            pipeline=[dict(type=step) for step in steps],
        )
        return DATASETS.build(cfg)

    return make


def test_ignored_objects(build, tmp_path):
    (finding,) = ignored_objects(build('a', 'LoadAnnotations'), 'place')
    assert finding.level == 'error' and finding.message.startswith('place: LoadAnn')
    wrapped = type('Wrapper', (), {'dataset': build('a', 'LoadAnnotations')})()
    assert len([*ignored_objects(wrapped, 'place')]) == 1
    for loaders in (['LoadBinaryAnnotations'], ['LoadAnnotations', 'HalvesMask'], []):
        assert not [*ignored_objects(build('a', *loaders), 'place')]
    # One object is enough to show that the masks are label maps.
    Image.fromarray(np.eye(16, dtype=np.uint8)).save(tmp_path / 'a/masks/01.png')
    assert not [*ignored_objects(build('a', 'LoadAnnotations'), 'place')]


def test_shared_images(build):
    train, val = (
        build('a', 'LoadBinaryAnnotations'),
        build('b', 'LoadBinaryAnnotations'),
    )
    assert not [*examine_datasets(train, val)]
    (finding,) = examine_datasets(train, train)
    assert finding.message.startswith('3 of the 3 validation images are training')
    assert finding.remedy.startswith('val_dataloader')
    assert not [*examine_datasets(train, None)]
    assert not [*shared_images(train, [1, 2], 'test')]  # names no images
