from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmaslp import Calibrator, ProbMapHook
from mmaslp.files.images import check_uncalibrated
from mmaslp.files.prob_maps import MapReader

LINE = [([0, 1], [0, 1])]


def output(path, scores):
    sample = SegDataSample(metainfo=dict(img_path=path))
    sample.seg_logits = PixelData(data=scores)
    return sample


class Listed(list):
    get_data_info = list.__getitem__


def run(hook, *samples):
    images = [dict(img_path=sample.img_path) for sample in samples]
    dataset = Listed(images)
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
    hook.before_test_epoch(SimpleNamespace(test_loop=loop, cfg=Config()))
    hook.after_test_iter(None, 0, outputs=samples)
    hook.after_test_epoch(None)


@pytest.mark.parametrize('bits', [8, 16])
def test_maps_are_written_by_the_name_of_their_image(tmp_path, bits):
    prob = torch.rand(1, 5, 4, generator=torch.Generator().manual_seed(0))
    logits = torch.cat([torch.zeros_like(prob), torch.logit(prob)])
    hook = ProbMapHook(str(tmp_path / 'maps'), bits=bits)
    run(hook, output('x/one.jpg', prob), output('x/two.jpg', logits))
    assert sorted(p.name for p in (tmp_path / 'maps').iterdir()) == [
        'one.png',
        'two.png',
    ]
    for name in ('one', 'two'):
        found = MapReader().read(tmp_path / 'maps' / f'{name}.png')
        assert np.abs(found - prob[0].numpy()).max() <= 0.51 / (2**bits - 1)


def test_a_calibrated_map_says_so(tmp_path):
    for calibrator in (None, Calibrator('identity', 'single', 'confidence', LINE)):
        hook = ProbMapHook(str(tmp_path), calibrator=calibrator, overwrite=True)
        run(hook, output('x.jpg', torch.full((1, 2, 2), 0.3)))
        if calibrator is None:
            check_uncalibrated(tmp_path / 'x.png')
    with pytest.raises(ValueError, match='calibrated already'):
        check_uncalibrated(tmp_path / 'x.png')


def test_equal_names_and_more_classes_are_refused(tmp_path):
    hook = ProbMapHook(str(tmp_path), overwrite=True)
    prob = torch.full((1, 2, 2), 0.5)
    with pytest.raises(ValueError, match=r'two images would be the file .*x\.png'):
        run(hook, output('a/x.jpg', prob), output('b/x.png', prob))
    with pytest.raises(ValueError, match=r'two images would be the file .*x\.png'):
        run(hook, output('a/x.jpg', prob), output('a/x.jpg', prob))
    with pytest.raises(ValueError, match='the head gives 3 classes'):
        run(hook, output('y.jpg', torch.randn(3, 2, 2)))
    run(hook, output('b/x.png', prob))  # another run begins anew


def test_scores_that_are_no_probabilities_are_refused(tmp_path):
    scores = torch.rand(2, 3, 3) * 0.4
    with pytest.raises(ValueError, match='not add up to 1'):
        run(ProbMapHook(str(tmp_path)), output('x.jpg', scores))
    with pytest.raises(ValueError, match='bits'):
        ProbMapHook(str(tmp_path), bits=12)
