"""Built datasets; ../test_odd_data.py trains and tests on wrong ones."""

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, TRANSFORMS
from PIL import Image

from mmaslp.integrations.mmseg.checks.run import check_datasets
from mmaslp.integrations.mmseg.data import check_data, sets_named, use_folder


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
    def found(dataset):
        return [f.message for f in check_datasets(dict(train=dataset, val=None))]

    (message,) = found(build('a', 'LoadAnnotations'))
    assert message.startswith('train_dataloader.dataset: LoadAnnotations gives')
    wrapped = type('Wrapper', (), {'dataset': build('a', 'LoadAnnotations')})()
    assert len(found(wrapped)) == 1
    for loaders in (['LoadBinaryAnnotations'], ['LoadAnnotations', 'HalvesMask']):
        assert not found(build('a', *loaders))
    [message] = found(build('a'))
    assert message.endswith('no step of its pipeline loads masks')
    # One object is enough to show that the masks are label maps.
    Image.fromarray(np.eye(16, dtype=np.uint8)).save(tmp_path / 'a/masks/01.png')
    assert not found(build('a', 'LoadAnnotations'))


def test_an_ending_that_no_image_has(toy, tmp_path):
    prefix = dict(img_path='images', seg_map_path='masks')
    dataset = dict(data_root=str(toy.root / 'val'), data_prefix=prefix)
    cfg = toy.config(tmp_path / 'run')

    def check(**more):
        own = dict(type='BaseSegDataset', **dataset, **more)
        cfg.train_dataloader.dataset = dict(type='RepeatDataset', dataset=own)
        check_data(sets_named(cfg, 'train'))

    with pytest.raises(FileNotFoundError, match=r'images ends with \.jpg: name'):
        check()
    check(img_suffix='.png')
    (toy.root / 'val' / 'list.txt').write_text('00')
    check(img_suffix='.tif', ann_file='list.txt')  # its lines have the endings


@pytest.mark.parametrize('wrong', ['img_suffix', 'seg_map_suffix'])
def test_an_ending_that_no_file_of_a_list_has(toy, build, tmp_path, wrong):
    # MMSegmentation joins names of a list and endings, and opens what is not there.
    prefix = dict(img_path='images', seg_map_path='masks')
    (toy.root / 'val' / 'list.txt').write_text('00')
    endings = dict(img_suffix='.png', seg_map_suffix='.png')
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(toy.root / 'val'),
        data_prefix=prefix,
        ann_file='list.txt',
        pipeline=[
            dict(type=name)
            for name in ('LoadImageFromFile', 'LoadBinaryAnnotations', 'PackSegInputs')
        ],
    )
    right = DATASETS.build({**dataset, **endings})
    assert not [*check_datasets(dict(test=right))]

    bad = DATASETS.build({**dataset, **endings, wrong: '_x.png'})
    (finding,) = check_datasets(dict(test=bad))
    assert '00_x.png' in finding.message and wrong in finding.remedy
    # Files that no loader opens, or not from a disk, may be anywhere.
    lmdb = dict(type='LoadImageFromFile', backend_args=dict(backend='lmdb'))
    for steps in ([], [lmdb]):
        elsewhere = {**dataset, **endings, wrong: '_x.png', 'pipeline': steps}
        findings = check_datasets(dict(test=DATASETS.build(elsewhere)))
        assert not [each for each in findings if 'there is no' in each.message]


def test_a_folder_that_is_not_divided_is_tested_whole(toy, tmp_path):
    init_default_scope('mmseg')
    cfg = toy.config(tmp_path / 'run', custom_hooks=[])
    folder = toy.root / 'train'
    before = sorted(folder.rglob('*'))
    assert 'all its images' in use_folder(cfg, str(folder), whole=True)
    assert len(DATASETS.build(cfg.test_dataloader.dataset)) == 10
    assert sorted(folder.rglob('*')) == before
    # A training divides it, and then a test has its part.
    assert 'divided: ' in use_folder(cfg, str(folder))
    assert 'has train, val, test' in use_folder(cfg, str(folder), whole=True)
    assert len(DATASETS.build(cfg.test_dataloader.dataset)) == 2
    with pytest.raises(FileNotFoundError, match='no images and masks'):
        use_folder(cfg, str(tmp_path), whole=True)


def test_repeats_of_a_data_set_stay(toy, tmp_path):
    cfg = toy.config(tmp_path / 'run')
    own = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=3, dataset=own)
    use_folder(cfg, str(toy.root))
    assert cfg.train_dataloader.dataset.times == 3
    assert cfg.train_dataloader.dataset.dataset.split == 'train'
    assert cfg.val_dataloader.dataset.split == 'val'


def test_shared_images(build):
    a, b = build('a', 'LoadBinaryAnnotations'), build('b', 'LoadBinaryAnnotations')
    assert not [*check_datasets(dict(train=a, val=b, test=None))]
    (finding,) = check_datasets(dict(train=a, val=b, test=b))
    assert finding.level == 'warning'
    assert finding.message.startswith('2 of the 2 test images are val images')


@pytest.mark.parametrize('parts', ['train val', 'train val test'])
def test_validation_images_in_the_place_of_test_images_are_said(tmp_path, parts):
    for part in parts.split():
        for kind in ('images', 'masks'):
            (tmp_path / part / kind).mkdir(parents=True)
    words = use_folder(Config(), str(tmp_path))
    assert ('fitted' in words) == ('test' not in parts)
