import numpy as np

from mmaslp.report.worst_images import WorstImages


def test_worst_images_are_sorted_and_bounded():
    worst = WorstImages(3)
    prob = label = np.zeros((2, 2))
    for index, oe in enumerate([0.1, 0.5, float('nan'), 0.3, 0.5, 0.2]):
        worst.push(str(index), index, {'oe': oe}, prob, label)
    assert [item['name'] for item in worst.items] == ['1', '4', '3']
    worst.drop_after(4)
    assert [item['name'] for item in worst.items] == ['1', '3']
