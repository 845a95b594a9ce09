import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmaslp.report.matching import other_images, other_masks, sorted_images

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))


def test_images_are_sorted_by_what_tells_them_apart():
    one = helper.result()
    one['images']['names'] = ['b/1.png', 'c/2.png', 'a/0.jpg', 'd/3.png']
    images = sorted_images(one)
    assert images.names == ['0', '1', '2', '3']
    assert images.table.count[0].tolist() == one['images']['count'][2]
    one['images']['names'] = ['b/1.png', 'a/1.png', 'a/0.png', 'b/0.png']
    assert sorted_images(one).names == ['a/0.png', 'a/1.png', 'b/0.png', 'b/1.png']
    one['images']['names'] = ['a', 'a', 'b', 'c']
    with pytest.raises(ValueError, match=r'x\.json: the same image is in it more'):
        sorted_images(one, 'x.json')


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda one: None, ''),
        (lambda one: one['settings'].update(mode='positive'), "mode is 'positive' in"),
        (lambda one: one['settings'].update(protocol='raw'), "protocol is 'raw' in"),
        (
            lambda one: one['images']['names'].__setitem__(0, 'new'),
            "2 images are in one of them only, such as ['<0>', 'new']",
        ),
    ],
)
def test_what_cannot_be_compared_is_named(change, words):
    one, other = helper.result(), helper.result(gain=0.5)
    change(one)
    found = other_images((one, sorted_images(one)), (other, sorted_images(other)))
    assert found.startswith(words) and bool(found) == bool(words)


def test_masks_differ_by_checksum_or_by_pixels():
    one, other = sorted_images(helper.result()), sorted_images(helper.result(gain=2))
    assert other_masks(one, other) == ''
    other.masks[1] += 1
    assert other_masks(one, other).startswith('1 images have other masks in each')
    other.masks = None
    assert other_masks(one, other) == ''
    other.table.count[3, 9] += 1
    assert "such as '<3>'" in other_masks(one, other)
