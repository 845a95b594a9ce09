import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from mmaslp.report.analysis import analyse
from mmaslp.report.gallery import galleries

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))


def laid_out(*entries, number=2):
    return galleries(analyse(helper.report(*entries), 5).sets[0], number)


def test_models_are_side_by_side_and_each_image_comes_once():
    one = helper.entry('A', with_pictures=True)
    two = helper.entry('B', with_pictures=True)
    found = laid_out(one, two)
    assert [each.title for each in found] == [
        'Most over-confident',
        'Most under-confident',
        'Random sample',
    ]
    names = [image.name for gallery in found for image in gallery.images]
    assert len(names) == len(set(names)) and found[0].images
    image = found[0].images[0]
    assert [view.model for view in image.views] == ['A', 'B']
    assert image.why == 'among the worst of A, B'
    assert [kind for kind, _ in image.panels] == ['mask']
    assert [kind for kind, _ in image.views[0].panels] == ['probability', 'error']
    assert image.views[0].figures.startswith('OE 0.')
    shown = {*names}
    assert all(
        name in {n.rsplit('.', 1)[0] for n in shown} for g in found for name in g.above
    )


def test_worst_comes_first():
    one = helper.entry('A', with_pictures=True)
    over = [p for p in one.pictures if 'over' in p.reasons]
    turned = replace(one, pictures=tuple(reversed(one.pictures)))
    images = laid_out(turned)[0].images
    assert [image.name for image in images] == [p.name for p in over]
    assert [image.why for image in images] == ['', '']


def test_no_pictures_no_gallery():
    assert laid_out(helper.entry()) == []
