import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from mmaslp.evaluation.result import load_results
from mmaslp.files.prob_maps import MapReader, write_prob_map
from tests.map_folders import SIZE, Folders, main, pair, save


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path)


@pytest.mark.parametrize('axis', [0, -1])
def test_one_hot_masks_are_named(tmp_path, capsys, axis):
    folders = Folders(tmp_path)
    for path in sorted(folders.gt.iterdir()):
        mask = np.asarray(Image.open(path)) > 0
        np.save(path.with_suffix('.npy'), np.stack([~mask, mask], axis).astype('u1'))
        path.unlink()
    assert folders.run() == 2
    assert 'of channels save the foreground alone' in capsys.readouterr().err


def test_metrics_of_good_folders(folders, tmp_path, capsys):
    (folders.pred / '.DS_Store').write_bytes(b'x')  # litter of file managers
    (folders.gt / 'Thumbs.db').write_bytes(b'x')
    assert folders.run('--json', tmp_path / 'r.json') == 0
    (folders.pred / '.DS_Store').unlink()
    [result] = load_results(tmp_path / 'r.json')
    expected = folders.histogram().compute()
    for key, value in expected.items():
        if key != 'count':
            assert result.metrics[key] == pytest.approx(value, rel=1e-9), key
    assert result.num_images == 3
    assert result.num_pixels == 3 * SIZE[0] * SIZE[1]
    assert f'{expected["ece"]:.4f}' in capsys.readouterr().out


@pytest.mark.parametrize('name', ['sharp', 'soft', 'hard'])
def test_golden_metrics(shared, tmp_path, name):
    golden = shared / 'golden' / 'maps'
    if not golden.is_dir():
        pytest.skip(f'needs {golden}')
    path = tmp_path / 'r.json'
    folders = (str(golden / name / kind) for kind in ('pred', 'gt'))
    assert main([*folders, '--json', str(path)]) == 0
    line = json.loads((golden / 'released.json').read_text())[name]['ECE_EW@10']
    printed = {k: float(v) for k, v in (x.split(': ') for x in line.split(', ')[2:])}
    found = json.loads(path.read_text())
    for key, theirs in (('ece', 'ECE'), ('oe', 'OE'), ('acc', 'ACC')):
        assert found[key] == pytest.approx(printed[theirs], abs=1e-5)


def test_kinds_of_maps_agree(tmp_path):
    """16 bits, float32, float64 and one channel of the same maps."""
    (tmp_path / 'gt').mkdir()
    found = []
    for kind in ('png', 'float32', 'float64', 'channel'):
        (tmp_path / kind).mkdir()
        for i in range(3):
            prob, mask = pair(i)
            prob = np.rint(prob * 65535) / 65535
            save(tmp_path / 'gt' / f'{i}.png', mask * 255)
            if kind == 'png':
                write_prob_map(tmp_path / kind / f'{i}.png', prob)
                continue
            array = prob.astype(np.float32) if kind == 'float32' else prob
            array = array[None] if kind == 'channel' else array
            np.save(tmp_path / kind / f'{i}.npy', array)
        args = [str(tmp_path / kind), str(tmp_path / 'gt'), '--json']
        assert main([*args, str(tmp_path / 'r.json'), '--overwrite']) == 0
        found.append(json.loads((tmp_path / 'r.json').read_text()))
    for key in ('ece', 'oe', 'acc', 'ks', 'ece_em', 'num_pixels'):
        for other in found[1:]:
            assert other[key] == pytest.approx(found[0][key], abs=1e-6)


def test_plot_and_report(folders, tmp_path):
    paths = {n: tmp_path / f'out.{n}' for n in ('json', 'svg', 'html')}
    options = ('--json', paths['json'], '--plot', paths['svg'])
    more = ('--report', paths['html'], '--resamples', 20)
    assert folders.run(*options, *more) == 0
    assert '<svg' in paths['svg'].read_text()
    assert '<svg' in (tmp_path / 'out_bands.svg').read_text()
    assert 'class="verdict"' in paths['html'].read_text()
    assert (tmp_path / 'out.report.json').is_file()


def test_several_methods_are_rows(folders, tmp_path, capsys):
    other = tmp_path / 'inverted'
    other.mkdir()
    for path in folders.pred.iterdir():
        write_prob_map(other / path.name, 1 - MapReader().read(path))
    path = tmp_path / 'r.json'
    code = main([str(folders.pred), str(other), str(folders.gt), '--json', str(path)])
    assert code == 0
    found = json.loads(path.read_text())
    assert [each['model'] for each in found] == ['pred', 'inverted']
    assert found[0]['acc'] == pytest.approx(1 - found[1]['acc'], abs=0.01)
    table, _, words = capsys.readouterr().out.partition('\n\npred: ')
    assert len(table.splitlines()) == 3
    sure, right = (f'{found[0][key]:.1%}' for key in ('conf', 'acc'))
    assert words.startswith(f'{sure} sure, {right} right (')


def test_empty_masks_show_a_dash(folders, tmp_path, capsys):
    for path in folders.gt.iterdir():
        save(path, np.zeros(SIZE, np.uint8))
    assert folders.run('--json', tmp_path / 'r.json') == 0
    found = json.loads((tmp_path / 'r.json').read_text())
    assert found['ece'] is not None
    assert ' - ' in capsys.readouterr().out


# ---- bad input: what it does to the folders, what the message must say ----

GOOD = np.full(SIZE, 0.5)
GREY = np.full(SIZE, 128, np.uint8)
RGB = np.zeros((*SIZE, 3), np.uint8)


def removed(name):
    return lambda root: (root / name).unlink()


def content(name, data):
    return lambda root: (root / name).write_bytes(data)


def image(name, values):
    return lambda root: save(root / name, values)


def npy(array):
    def spoil(root):
        (root / 'pred/1.png').unlink()
        np.save(root / 'pred/1.npy', array, allow_pickle=True)

    return spoil


def link(name, target):
    def spoil(root):
        (root / name).unlink()
        (root / name).symlink_to(target)

    return spoil


def moved(name):
    return lambda root: (root / name).rename(root / 'moved')


def frames(root):
    first, second = Image.fromarray(GREY), Image.fromarray(GREY // 2)
    first.save(root / 'pred/1.png', save_all=True, append_images=[second])


def one_deeper(root):
    (root / 'pred').rename(root / 'maps')
    (root / 'pred').mkdir()
    (root / 'maps').rename(root / 'pred/maps')


BAD = {
    'maps in a folder more': (one_deeper, 'among the maps; give that folder, or'),
    'map without mask': (removed('gt/1.png'), '1: has no mask in .*gt'),
    'mask without map': (removed('pred/1.png'), 'mask 1: has no partner in .*pred'),
    'size': (image('pred/1.png', GREY[:5, :6]), r'6 x 5 pixels, but its mask .* 10 x'),
    'cut map': (content('pred/1.png', b'\x89PNG'), r'pred/1\.png: cannot be read'),
    'empty mask file': (content('gt/1.png', b''), r'gt/1\.png.*empty'),
    'RGB map': (image('pred/1.png', RGB), r"1\.png.*mode 'RGB'"),
    'frames': (frames, r'2 frames'),
    'above 1': (npy(GOOD * 3), r'1\.npy: .*\[1\.5, 1\.5\].*sigmoid'),
    'below 0': (npy(-GOOD), r'not in \[0, 1\]'),
    'NaN': (npy(np.where(np.eye(*SIZE) > 0, np.nan, 0.5)), r'10 NaN'),
    'infinite': (npy(GOOD * np.inf), r'not in \[0, 1\]'),
    'bytes': (npy(GREY), r'uint8 up to (.|\n)*--max-value'),
    'complex': (npy(GOOD + 0j), r'contains complex128'),
    'objects': (npy(np.array([[None]], dtype=object)), r'1\.npy: cannot be read'),
    'two channels': (npy(np.stack([GOOD] * 2)), r'\(2, 12, 10\)'),
    'no pixel': (npy(np.zeros((0, 3))), r'1\.npy: has no pixels'),
    'two of a name': (content('pred/1.npy', b''), r'1\.png: the same name as 1\.npy'),
    'other file': (content('pred/notes.txt', b'x'), r'notes\.txt: not a map'),
    'folder': (lambda root: (root / 'gt/deep').mkdir(), r'deep: a folder'),
    'link to itself': (link('pred/1.png', '1.png'), r'pred/1\.png: cannot be read'),
    'broken link': (link('gt/1.png', 'nowhere'), r'gt/1\.png: cannot be'),
    'grey mask': (image('gt/1.png', GREY), r'gt/1\.png'),
    'folder missing': (moved('gt'), r'gt: No such file'),
}


@pytest.mark.parametrize('kind', BAD)
def test_bad_input_is_named_and_nothing_is_written(folders, tmp_path, capsys, kind):
    spoil, words = BAD[kind]
    spoil(tmp_path)
    out = [tmp_path / f'out.{n}' for n in ('json', 'png', 'html')]
    options = zip(('--json', '--plot', '--report'), out)
    code = folders.run(*(each for option in options for each in option))
    found = capsys.readouterr()
    assert code == 2
    assert found.out == ''
    assert found.err.startswith('error: ')
    assert 'Traceback' not in found.err
    assert re.search(words, found.err)
    assert not any(path.exists() for path in out)


def test_all_problems_are_in_one_message(folders, capsys):
    (folders.gt / '0.png').unlink()
    (folders.pred / '1.png').write_bytes(b'x')
    for i in range(100):
        save(folders.pred / f'more{i}.png', GREY)
    assert folders.run() == 2
    error = capsys.readouterr().err
    assert '102 problem(s)' in error
    assert '0: has no mask in' in error
    assert ' more)' in error
    assert 'pred/1.png: cannot be read' in error


def test_folders_that_do_not_belong_together(folders, capsys):
    for path in folders.gt.iterdir():
        path.rename(path.with_stem(f'case_{path.stem}'))
    assert folders.run() == 2
    error = capsys.readouterr().err
    assert 'no name matches at all, such as 0.png and case_0.png: a mask' in error
    assert 'rename them' in error


def test_the_same_folder_twice(folders, capsys):
    assert main([str(folders.gt), str(folders.gt)]) == 2
    assert 'the same folder' in capsys.readouterr().err
    assert main([str(folders.pred), str(folders.pred), str(folders.gt)]) == 2
    assert 'named twice' in capsys.readouterr().err


@pytest.mark.usefixtures('plain_charts')
def test_folders_of_one_name_keep_the_part_that_differs(folders, tmp_path, capsys):
    for place in ('a', 'b'):
        shutil.copytree(folders.pred, tmp_path / place / 'maps')
    args = [str(tmp_path / place / 'maps') for place in ('a', 'b')]
    page = tmp_path / 'x.html'
    assert main([*args, str(folders.gt), '--report', str(page)]) == 0
    assert [row.model for row in load_results(tmp_path / 'x.report.json')] == [
        'a/maps',
        'b/maps',
    ]


def test_limits_end_with_a_status(folders, capsys):
    assert folders.run('--limit', 'ece=.99', 'dice=.01') == 0
    assert capsys.readouterr().out.endswith('within all limits\n')
    assert folders.run('--limit', 'ece=1e-6', '--limit', 'dice=.01') == 1
    assert folders.run('--limit', 'ece=1e-6', 'dice=.999') == 1
    said = capsys.readouterr().out
    assert 'pred: ece is 0.' in said
    assert ', above its limit 1e-06' in said
    assert ', below its limit 0.999' in said
    for limit, words in (
        ('nonsense=1', '--limit nonsense=1: name a metric'),
        ('ece', '--limit ece: write ece=NUMBER'),
    ):
        assert folders.run('--limit', limit) == 2
        assert words in capsys.readouterr().err
