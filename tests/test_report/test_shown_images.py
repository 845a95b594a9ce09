import numpy as np

from mmaslp.report.shown_images import ShownImages, sample_rank

MAP = np.zeros((2, 2))


def kept(names, size=2):
    shown = ShownImages(size)
    for index, name in enumerate(names):
        metrics = {'oe': index / 10, 'ue': 0.0 if index else 0.2}
        shown.push(name, index, metrics, MAP, MAP)
    return shown


def names_of(shown):
    return {why: [item['name'] for item in own] for why, own in shown.items.items()}


def test_worst_both_ways_and_a_sample():
    found = names_of(kept(['a', 'b', 'c', 'd']))
    assert found['over'] == ['d', 'c']
    assert found['under'] == ['a']  # the others are not under-confident at all
    assert found['sample'] == sorted('abcd', key=sample_rank, reverse=True)[:2]


def test_sample_depends_on_the_file_names_alone():
    names = [f'{i}.jpg' for i in range(9)]
    first = names_of(kept(names))['sample']
    other = names_of(kept([f'/x/{name}' for name in reversed(names)]))['sample']
    assert [name.split('/')[-1] for name in other] == first
    assert all(0 < sample_rank(name) <= 1 for name in names)


def test_processes_join_and_repeated_images_go():
    shown = kept(['a', 'b'])
    shown.drop_after(1)
    joined = ShownImages(2)
    joined.extend(shown.items)
    joined.extend(kept(['c', 'd']).items)
    assert names_of(joined)['over'] == ['d']
    assert names_of(joined)['under'] == ['a', 'c']
