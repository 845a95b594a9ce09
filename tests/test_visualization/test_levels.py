import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

from mmaslp.visualization.levels import levels_sheet


def item(folder, name, wrong=False):
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(folder / name)
    label = np.zeros((20, 30), np.uint8)
    label[5:15, 5:20] = 1
    return dict(
        name=str(folder / name),
        alpha=0.123,
        wrong=wrong,
        prob=label.astype(np.uint16) * 60000,
        label=label,
    )


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text)]


def test_each_image_has_its_level_and_two_panels(tmp_path):
    blocks = {
        'lowest': [item(tmp_path, f'{i}.png') for i in range(7)],
        'highest': [item(tmp_path, 'z.png', wrong=True)],
    }
    figure = levels_sheet(blocks)
    assert len(figure.axes) == 2 * 8
    found = ' '.join(texts(figure))
    assert 'lowest' in found and 'highest' in found and '0.123' in found


def test_nothing_to_draw():
    with pytest.raises(ValueError, match='at least one image'):
        levels_sheet({'lowest': []})
