import json

import numpy as np
import pytest
from PIL import Image

from mmaslp.report.maps import check_outputs, evaluate_folders, write_outputs


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for folder in ('x/maps', 'y/maps', 'masks', 'photos'):
        (tmp_path / folder).mkdir(parents=True)
        for name in 'ab':
            pixels = rng.integers(0, 256, (8, 8)).astype(np.uint8)
            if folder == 'masks':
                pixels = (pixels > 127) * np.uint8(255)
            Image.fromarray(pixels).save(tmp_path / folder / f'{name}.png')
    return tmp_path


def test_one_folder_and_several(folders):
    masks = str(folders / 'masks')
    first, second = str(folders / 'x/maps'), str(folders / 'y/maps')
    alone = evaluate_folders([first], masks, resamples=0)
    both = evaluate_folders([first, second], masks, resamples=0)
    # Their last parts are the same.
    assert [each['model'] for each in both] == [first, second]
    assert [each['model'] for each in alone] == ['maps']
    assert both[0]['ece'] == alone[0]['ece']
    write_outputs(alone, json=str(folders / 'one.json'))
    write_outputs(both, json=str(folders / 'two.json'))
    one = json.loads((folders / 'one.json').read_text())
    two = json.loads((folders / 'two.json').read_text())
    assert one['ece'] == two[0]['ece'] != two[1]['ece']


def test_report_shows_the_photographs(folders):
    results = evaluate_folders(
        [str(folders / 'x/maps')], str(folders / 'masks'), resamples=5
    )
    sizes = []
    for images in (None, str(folders / 'photos')):
        path = folders / 'report.html'
        write_outputs(results, report=str(path), images=images, pictures=1)
        sizes.append(path.stat().st_size)
    assert sizes[1] > sizes[0]
    assert 'pictures' not in results[0]


def test_arguments(folders):
    maps, masks = str(folders / 'x/maps'), str(folders / 'masks')
    with pytest.raises(ValueError, match='named twice'):
        evaluate_folders([maps, maps + '/'], masks)
    with pytest.raises(ValueError, match='must be an integer'):
        check_outputs(pictures=-1)
    check_outputs(json=str(folders / 'x.json'), plot=str(folders / 'X.PNG'))
    for outputs, words in (
        (dict(plot='x.bmp'), 'x.bmp: write one of'),
        (dict(json='no/x.json'), '--json no/x.json: its folder does not exist'),
        (dict(images='no'), '--images no: no such folder'),
    ):
        with pytest.raises(ValueError, match=words):
            check_outputs(**outputs)
