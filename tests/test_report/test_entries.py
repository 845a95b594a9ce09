import json
import math

import numpy as np
import pytest
from PIL import Image

from mmaslp.files.checksum import sha256_of
from mmaslp.files.results import save_result
from mmaslp.report.entries import file_entries, map_entries, test_entries
from mmaslp.report.maps import evaluate_folders
from mmaslp.report.writing import json_beside, write_report


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Maps of two models, masks, photographs and result files."""
    root = tmp_path_factory.mktemp('maps')
    rng = np.random.default_rng(0)
    for name in ('<A>', 'B', 'masks', 'photos'):
        (root / name).mkdir()
        for image in range(4):
            pixels = rng.integers(0, 256, (8, 9)).astype(np.uint8)
            if name == 'masks':
                pixels = (pixels > 127) * np.uint8(255)
            Image.fromarray(pixels).save(root / name / f'{image}.png')
    return root


@pytest.fixture(scope='module')
def sections(folder):
    maps = [str(folder / name) for name in ('<A>', 'B')]
    return evaluate_folders(maps, str(folder / 'masks'), resamples=5)


def test_maps_have_one_page(folder, sections, tmp_path):
    save_result(tmp_path / 'r.json', sections['B']['result'])
    entries = map_entries(
        sections,
        images=str(folder / 'photos'),
        result_file=tmp_path / 'r.json',
        pictures=2,
    )
    path = tmp_path / 'page.html'
    write_report(path, entries, pictures=2, argv=['/x/eval_maps.py', str(folder / 'B')])
    page, content = path.read_text(), json_beside(path).read_text()
    assert '&lt;A&gt;' in page and '<A>' not in page
    for text in (page, content):
        assert str(folder) not in text  # no path of this machine
    assert '<code>eval_maps.py B</code>' in page
    assert sha256_of(tmp_path / 'r.json') in page and 'masks (4 files)' in page
    names = [[picture.name for picture in entry.pictures] for entry in entries]
    assert names[0] == names[1]  # all models show the same images
    assert set(entries[0].pictures[0].panels) == {
        'image',
        'mask',
        'probability',
        'error',
    }
    reasons = [why for picture in entries[0].pictures for why in picture.reasons]
    assert reasons.count('sample') == 2 and 1 <= reasons.count('over') <= 2
    write_report(path, entries, paths=True)
    assert str(folder) in path.read_text()


def test_a_report_rebuilds_its_page(sections, tmp_path):
    path = tmp_path / 'a.html'
    first = write_report(path, map_entries(sections, pictures=1), title='T')
    again = file_entries([json_beside(path)])
    assert again == list(first.entries)
    write_report(tmp_path / 'b.html', again, title='T', argv=['x'])
    one, two = (
        (tmp_path / name).read_text().split('<h2 id="h-provenance">')[0]
        for name in ('a.html', 'b.html')
    )
    assert one == two


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda result: result.pop('images'), 'A: its result has no table of images'),
        (lambda result: result.update(ece=0.9), 'ece is 0.9, but its bins give'),
    ],
)
def test_edited_reports_are_refused(change, message, sections, tmp_path):
    path = tmp_path / 'a.html'
    write_report(path, map_entries({'A': sections['B']}, pictures=0))
    content = json.loads(json_beside(path).read_text())
    change(content['entries'][0]['result'])
    json_beside(path).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f'a.report.json: .*{message}'):
        file_entries([json_beside(path)])


def test_results_of_different_times_are_joined(sections, tmp_path):
    run = tmp_path / 'bce' / 'eval' / 'second'
    save_result(run / 'calibration_test.json', sections['B']['result'])
    save_result(tmp_path / 'isnet.json', sections['<A>']['result'])
    both = {name: section['result'] for name, section in sections.items()}
    save_result(tmp_path / 'both.json', both)
    files = [run / 'calibration_test.json', tmp_path / 'isnet.json']
    entries = file_entries([*files, tmp_path / 'both.json'])
    assert [entry.model for entry in entries] == ['bce', 'isnet', '<A>', 'B']
    assert [entry.dataset for entry in entries] == ['second', 'masks', 'masks', 'masks']
    assert [each.name for each in entries[0].files] == ['calibration_test.json']
    named = file_entries(files, ['x', 'y'])
    assert [entry.model for entry in named] == ['x', 'y']
    with pytest.raises(ValueError, match='--name: 1 names for 2 files'):
        file_entries(files, ['x'])
    with pytest.raises(ValueError, match='holds 2 models'):
        file_entries([tmp_path / 'both.json'], ['x'])


@pytest.mark.parametrize(
    'content',
    ['', '[]', '{}', '{"a": 1}', '{"images": {}}', '[' * 10**5, '\xff', 'NaN'],
)
def test_other_files_are_refused_by_name(content, tmp_path):
    path = tmp_path / 'x.json'
    path.write_bytes(content.encode('latin-1'))
    with pytest.raises(ValueError, match=r'x\.json: is no result file'):
        file_entries([path])


def test_a_number_that_is_none_is_refused(sections, tmp_path):
    result = sections['B']['result']
    save_result(tmp_path / 'x.json', {**result, 'ece': 0.123456})
    text = (tmp_path / 'x.json').read_text().replace('0.123456', 'NaN')
    (tmp_path / 'x.json').write_text(text)
    with pytest.raises(ValueError, match=r'(?i)x\.json: .*nan'):
        file_entries([tmp_path / 'x.json'])


def test_sets_of_a_test(sections, tmp_path):
    result = sections['B']['result']
    shown = {'over': [], 'under': [], 'sample': []}
    entry = dict(result=result, shown=shown, ood=False, folder=str(tmp_path))
    results = {
        'a': dict(entry, metrics=dict(ece=result['ece'], mae=math.nan)),
        'b': dict(entry, metrics={}, ood=True),
        'c': dict(metrics=dict(mae=0.2), ood=False, folder='y'),
    }
    (tmp_path / 'x.pth').write_bytes(b'1')
    save_result(tmp_path / 'calibration_test.json', result)
    files = {'checkpoint': str(tmp_path / 'x.pth'), 'config': 'none.py'}
    found = test_entries(results, 'BCE', files=files, settings={'t': 1, 'n': None})
    assert [(each.model, each.dataset, each.ood) for each in found] == [
        ('BCE', 'a', False),
        ('BCE', 'b', True),
    ]
    assert found[0].measures == {'mae': None} and found[0].settings == {'t': '1'}
    roles = [(each.role, each.name) for each in found[0].files]
    assert roles == [('checkpoint', 'x.pth'), ('result', 'calibration_test.json')]
