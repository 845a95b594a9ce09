import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from mmaslp.report.panels import image_panels

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))
section = helper.section


def test_error_panel_is_red_above_and_blue_below_the_mask():
    item = {
        'prob': np.array([[65535, 0, 65535, 30000]], np.uint16),
        'label': np.array([[0, 1, 1, 255]], np.uint8),
    }
    panels = image_panels(item)
    error = np.asarray(panels['error'])[0]
    assert error[0, 0] > error[0, 2] and error[1, 2] > error[1, 0]
    assert error[2].tolist() == [255] * 3 and len(set(error[3].tolist())) == 1
    assert np.asarray(panels['mask'])[0, 1].tolist() == [255] * 3
    assert list(panels) == ['mask', 'probability', 'error']


def test_photo_is_shown_if_it_can_be_read(tmp_path):
    item = section()['shown']['over'][0]
    Image.new('RGB', (1000, 500)).save(tmp_path / 'x.png')
    assert image_panels(item, tmp_path / 'x.png')['image'].size == (240, 120)
    assert 'image' not in image_panels(item, tmp_path / 'none.png')
