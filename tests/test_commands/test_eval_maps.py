import json
import os
import re

import numpy as np
import pytest
import torch
from PIL import Image

from mmaslp.files.prob_maps import read_prob_map, write_prob_map
from mmaslp.files.results import load_result
from mmaslp.files.sod_measures import load_library
from tests.map_folders import SIZE, Folders, main, pair, save


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path)


def test_metrics_of_good_folders(folders, tmp_path, capsys):
    assert folders.run('--json', tmp_path / 'r.json') == 0
    result, images = load_result(tmp_path / 'r.json')
    expected = folders.histogram().compute()
    for key, value in expected.items():
        if key != 'count':
            assert result[key] == pytest.approx(value, rel=1e-9), key
    assert result['num_images'] == len(images) == 3
    assert result['num_pixels'] == 3 * SIZE[0] * SIZE[1]
    assert f'{expected["ece"]:.4f}' in capsys.readouterr().out


@pytest.mark.parametrize('name', ['sharp', 'soft', 'hard'])
def test_golden_metrics(shared, tmp_path, name):
    golden = shared / 'golden' / 'maps'
    if not golden.is_dir():
        pytest.skip(f'needs {golden}')
    path = tmp_path / 'r.json'
    assert (
        main([*(str(golden / name / d) for d in ('pred', 'gt')), '--json', str(path)])
        == 0
    )
    line = json.loads((golden / 'released.json').read_text())[name]['ECE_EW@10']
    printed = {k: float(v) for k, v in (x.split(': ') for x in line.split(', ')[2:])}
    found = json.loads(path.read_text())
    for key, theirs in (('ece', 'ECE'), ('oe', 'OE'), ('acc', 'ACC')):
        assert found[key] == pytest.approx(printed[theirs], abs=1e-5)


@pytest.mark.parametrize('bits, limit', [(8, 0.5 / 255), (16, 1e-5)])
def test_written_maps_give_the_same_metrics(tmp_path, bits, limit):
    (tmp_path / 'maps').mkdir()
    (tmp_path / 'npy').mkdir()
    (tmp_path / 'gt').mkdir()
    for i in range(3):
        prob, mask = pair(i)
        write_prob_map(tmp_path / 'maps' / f'{i}.png', prob, bits)
        np.save(tmp_path / 'npy' / f'{i}.npy', prob)
        save(tmp_path / 'gt' / f'{i}.png', mask * 255)
    found = []
    for kind in ('maps', 'npy'):
        path = tmp_path / f'{kind}.json'
        assert (
            main([str(tmp_path / kind), str(tmp_path / 'gt'), '--json', str(path)]) == 0
        )
        found.append(json.loads(path.read_text()))
    for key in ('conf', 'brier'):
        assert found[0][key] == pytest.approx(found[1][key], abs=2 * limit)
    # Rounding may carry a value over a bin edge, one pixel of 360 at most here.
    assert found[0]['ece'] == pytest.approx(found[1]['ece'], abs=2 * limit + 2 / 360)


def test_kinds_of_maps_agree(folders, tmp_path):
    folders.run('--json', tmp_path / 'a.json')
    for kind in ('float32', 'float64', 'channel'):
        for i in range(3):
            prob = np.asarray(Image.open(folders.pred / '0.png').convert('L')) * 0.0
            values = np.asarray(Image.open(folders.pred / f'{i}.png')) / 255
            prob = prob + values
            array = prob.astype(np.float32) if kind == 'float32' else prob
            array = array[None] if kind == 'channel' else array
            other = tmp_path / kind
            other.mkdir(exist_ok=True)
            np.save(other / f'{i}.npy', array)
        assert (
            main([str(other), str(folders.gt), '--json', str(tmp_path / 'b.json')]) == 0
        )
        one, two = (json.loads((tmp_path / f'{x}.json').read_text()) for x in 'ab')
        for key in ('ece', 'oe', 'acc', 'ks', 'ece_em', 'num_pixels'):
            assert one[key] == two[key]


def test_plot_report_and_sod(folders, tmp_path):
    pytest.importorskip('py_sod_metrics')
    paths = {n: tmp_path / f'out.{n}' for n in ('json', 'svg', 'html')}
    assert (
        folders.run(
            *('--json', paths['json'], '--plot', paths['svg'], '--sod'),
            *('--report', paths['html'], '--worst', 2, '--resamples', 20),
        )
        == 0
    )
    found = json.loads(paths['json'].read_text())
    measures = found['measures']
    assert all(0 < measures[key] <= 1 for key in ('mae', 'max_f', 'ap'))
    assert '<svg' in paths['svg'].read_text()
    assert '<svg' in (tmp_path / 'out_bands.svg').read_text()
    page = paths['html'].read_text()
    # Three images: two of each kind, each of them once.
    assert 2 <= page.count('class="shown card"') <= 3
    assert (tmp_path / 'out.report.json').is_file()
    assert 'http://' not in page and 'https://' not in page


def test_several_methods_are_rows(folders, tmp_path, capsys):
    other = tmp_path / 'inverted'
    other.mkdir()
    for path in folders.pred.iterdir():
        write_prob_map(other / path.name, 1 - read_prob_map(path))
    path = tmp_path / 'r.json'
    code = main([str(folders.pred), str(other), str(folders.gt), '--json', str(path)])
    assert code == 0
    found = json.loads(path.read_text())
    assert [each['model'] for each in found] == ['pred', 'inverted']
    assert found[0]['acc'] == pytest.approx(1 - found[1]['acc'], abs=0.01)
    assert len(capsys.readouterr().out.splitlines()) == 4  # the last names the file


def test_released_protocol_stretches(folders, tmp_path):
    for path in folders.pred.iterdir():
        write_prob_map(path, read_prob_map(path) * 0.2 + 0.3)
    folders.run('--json', tmp_path / 'raw.json')
    folders.run('--json', tmp_path / 'rel.json', '--protocol', 'released')
    raw, released = (
        json.loads((tmp_path / f'{n}.json').read_text()) for n in ('raw', 'rel')
    )
    assert raw['conf'] < 0.71 < released['conf']
    assert released['settings']['protocol'] == 'released'


def test_empty_masks_show_a_dash(folders, tmp_path, capsys):
    load_library()
    for path in folders.gt.iterdir():
        save(path, np.zeros(SIZE, np.uint8))
    assert folders.run('--sod', '--json', tmp_path / 'r.json') == 0
    found = json.loads((tmp_path / 'r.json').read_text())
    for key in ('max_f', 'mean_f', 'adp_f', 'weighted_f', 'ap', 'auc'):
        assert found['measures'][key] is None, key
    assert found['measures']['mae'] > 0 and found['ece'] is not None
    assert ' - ' in capsys.readouterr().out


def test_litter_of_file_managers_is_passed_over(folders):
    (folders.pred / '.DS_Store').write_bytes(b'x')
    (folders.gt / 'Thumbs.db').write_bytes(b'x')
    assert folders.run() == 0


# ---- bad input: (what it does to the folders, what the message must say) ----


def truncate(path, share=0.5):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def npy(folders, array):
    (folders.pred / '1.png').unlink()
    np.save(folders.pred / '1.npy', array, allow_pickle=True)


def rename(folder, old, new):
    (folder / old).rename(folder / new)


def loop(path):
    path.unlink()
    path.symlink_to(path.name)


GOOD = np.full(SIZE, 0.5)
NAN = np.where(np.eye(*SIZE) > 0, np.nan, 0.5)
GREY = np.full(SIZE, 128, np.uint8)
RGB = np.zeros((*SIZE, 3), np.uint8)
BAD = {
    'map without mask': (lambda f: (f.gt / '1.png').unlink(), r'pred/1\.png: no mask'),
    'mask without map': (lambda f: (f.pred / '1.png').unlink(), r'gt/1\.png: no map'),
    'other size': (
        lambda f: save(f.pred / '1.png', np.zeros((5, 6), np.uint8)),
        r'1\.png: 6 x 5 pixels, but its mask .* 10 x 12',
    ),
    'transposed': (
        lambda f: save(f.pred / '1.png', np.zeros(SIZE[::-1], np.uint8)),
        r'12 x 10 pixels',
    ),
    'truncated map': (lambda f: truncate(f.pred / '1.png'), r'pred/1\.png: .*read'),
    'truncated mask': (lambda f: truncate(f.gt / '1.png'), r'gt/1\.png'),
    'empty map file': (lambda f: truncate(f.pred / '1.png', 0), r'pred/1\.png'),
    'empty mask file': (lambda f: truncate(f.gt / '1.png', 0), r'gt/1\.png.*empty'),
    'text as map': (lambda f: (f.pred / '1.png').write_text('hi'), r'pred/1\.png'),
    'text as mask': (lambda f: (f.gt / '1.png').write_text('hi'), r'gt/1\.png'),
    'RGB map': (lambda f: save(f.pred / '1.png', RGB), r"1\.png.*mode 'RGB'"),
    'RGBA map': (
        lambda f: save(f.pred / '1.png', np.zeros((*SIZE, 4), np.uint8)),
        r"mode 'RGBA'",
    ),
    'palette map': (
        lambda f: Image.fromarray(RGB).quantize(2).save(f.pred / '1.png'),
        r"mode 'P'",
    ),
    'one-bit map': (
        lambda f: Image.fromarray(GREY).convert('1').save(f.pred / '1.png'),
        r"mode '1'",
    ),
    'float TIFF': (
        lambda f: (
            (f.pred / '1.png').unlink(),
            save(f.pred / '1.tif', GOOD.astype(np.float32)),
        ),
        r"mode 'F'",
    ),
    'several frames': (
        lambda f: Image.fromarray(GREY).save(
            f.pred / '1.png', save_all=True, append_images=[Image.fromarray(GREY // 2)]
        ),
        r'2 frames',
    ),
    'npy above 1': (lambda f: npy(f, GOOD * 3), r'1\.npy: .*\[1\.5, 1\.5\].*sigmoid'),
    'npy below 0': (lambda f: npy(f, -GOOD), r'not in \[0, 1\]'),
    'npy of logits': (lambda f: npy(f, GOOD * 20 - 14), r'sigmoid'),
    'npy with NaN': (lambda f: npy(f, NAN), r'10 NaN'),
    'npy infinite': (lambda f: npy(f, GOOD / 0.0), r'not in \[0, 1\]'),
    'npy of bytes': (lambda f: npy(f, GREY), r'uint8 integers up to .*--max-value'),
    'npy of bool': (lambda f: npy(f, GREY > 5), r'holds bool'),
    'npy of complex': (lambda f: npy(f, GOOD * 1j), r'holds complex'),
    'npy of objects': (
        lambda f: npy(f, np.array([[None]], dtype=object)),
        r'1\.npy.*no plain npy',
    ),
    'npy of two channels': (lambda f: npy(f, np.stack([GOOD] * 2)), r'\(2, 12, 10\)'),
    'npy of one line': (lambda f: npy(f, GOOD[0]), r'not \(10,\)'),
    'npy empty': (lambda f: npy(f, np.zeros((0, 3))), r'1\.npy.*empty'),
    'npy truncated': (
        lambda f: (npy(f, GOOD), truncate(f.pred / '1.npy')),
        r'1\.npy',
    ),
    'npz renamed': (
        lambda f: (
            np.savez(f.pred / '1.npz', a=GOOD),
            (f.pred / '1.png').unlink(),
            rename(f.pred, '1.npz', '1.npy'),
        ),
        r'several arrays',
    ),
    'duplicate stems of maps': (
        lambda f: np.save(f.pred / '1.npy', GOOD),
        r'1\.png: the same name as 1\.npy',
    ),
    'duplicate stems of masks': (
        lambda f: Image.fromarray(GREY // 128 * 255).save(f.gt / '1.bmp'),
        r'the same name as 1\.bmp',
    ),
    'other file among maps': (
        lambda f: (f.pred / 'notes.txt').write_text('x'),
        r'notes\.txt: not a map',
    ),
    'other file among masks': (
        lambda f: (f.gt / 'notes.txt').write_text('x'),
        r'notes\.txt: not a mask',
    ),
    'folder among maps': (lambda f: (f.pred / 'deep').mkdir(), r'deep: a folder'),
    'link to itself': (
        lambda f: loop(f.pred / '1.png'),
        r'pred/1\.png: cannot be read',
    ),
    'mask links to itself': (lambda f: loop(f.gt / '1.png'), r'gt/1\.png: cannot be'),
    'broken link': (
        lambda f: (
            (f.pred / '1.png').unlink(),
            (f.pred / '1.png').symlink_to('nowhere'),
        ),
        r'pred/1\.png: cannot be read',
    ),
    'grey mask': (lambda f: save(f.gt / '1.png', GREY), r'gt/1\.png'),
    'mask of three levels': (
        lambda f: save(
            f.gt / '1.png', np.repeat(np.uint8([0, 128, 255]), 40).reshape(SIZE)
        ),
        r'gt/1\.png',
    ),
    'label map': (
        lambda f: save(
            f.gt / '1.png', np.repeat(np.uint8([0, 1, 2]), 40).reshape(SIZE)
        ),
        r'gt/1\.png',
    ),
    'colour mask': (
        lambda f: save(f.gt / '1.png', RGB + np.array([255, 0, 0], np.uint8)),
        r'gt/1\.png.*colours',
    ),
    'no maps': (lambda f: [p.unlink() for p in f.pred.iterdir()], r'pred: .*no maps'),
    'no masks': (lambda f: [p.unlink() for p in f.gt.iterdir()], r'gt: .*no masks'),
    'folder of maps missing': (
        lambda f: f.pred.rename(f.pred.with_name('moved')),
        r'pred: .*cannot be listed',
    ),
    'folder of masks is a file': (
        lambda f: (f.gt.rename(f.gt.with_name('moved')), f.gt.write_text('x')),
        r'gt: .*cannot be listed',
    ),
}


@pytest.mark.filterwarnings('ignore:divide by zero')
@pytest.mark.parametrize('kind', BAD)
def test_bad_input_is_named_and_nothing_is_written(folders, tmp_path, capsys, kind):
    spoil, words = BAD[kind]
    with np.errstate(divide='ignore'):
        spoil(folders)
    out = [tmp_path / f'out.{n}' for n in ('json', 'png', 'html')]
    options = zip(('--json', '--plot', '--report'), out)
    code = folders.run(*(each for option in options for each in option))
    found = capsys.readouterr()
    assert code == 2
    assert found.out == ''
    assert found.err.startswith('error: ')
    assert re.search(words, found.err)
    assert 'Traceback' not in found.err
    assert not any(path.exists() for path in out)


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_unreadable_file(folders, capsys):
    (folders.pred / '1.png').chmod(0)
    assert folders.run() == 2
    assert 'pred/1.png: cannot be read' in capsys.readouterr().err


def test_all_problems_are_in_one_message(folders, capsys):
    (folders.gt / '0.png').unlink()
    truncate(folders.pred / '1.png')
    save(folders.gt / '2.png', GREY)
    (folders.pred / 'notes.txt').write_text('x')
    assert folders.run() == 2
    error = capsys.readouterr().err
    assert '4 problem(s)' in error
    for name in ('pred/0.png', 'pred/1.png', 'gt/2.png', 'notes.txt'):
        assert name in error


def test_long_lists_are_cut(folders, capsys):
    for i in range(100):
        save(folders.pred / f'more{i}.png', GREY)
    assert folders.run() == 2
    error = capsys.readouterr().err
    assert '100 problem(s)' in error and 'and 60 more' in error


@pytest.mark.parametrize(
    'options, words',
    [
        (['--bins', '0'], 'bins'),
        (['--plot', 'x.jpg'], 'x.jpg'),
        (['--plot', 'no/where/x.png'], 'folder does not exist'),
        (['--json', 'no/where/x.json'], 'folder does not exist'),
        (['--report', 'no/where/x.html'], 'folder does not exist'),
        (['--images', 'no/where'], 'no such folder'),
        (['--resamples', '-1'], 'resamples must be'),
    ],
)
def test_bad_options(folders, capsys, options, words):
    assert folders.run(*options) == 2
    assert words in capsys.readouterr().err


def test_the_same_folder_twice(folders, capsys):
    assert main([str(folders.gt), str(folders.gt)]) == 2
    assert 'the same folder' in capsys.readouterr().err
    assert main([str(folders.pred), str(folders.pred), str(folders.gt)]) == 2
    assert 'named twice' in capsys.readouterr().err


def test_unknown_protocol_is_a_usage_error(folders):
    with pytest.raises(SystemExit) as stop:
        folders.run('--protocol', 'best')
    assert stop.value.code == 2


def test_threads_are_left_alone(folders):
    before = torch.get_num_threads()
    folders.run()
    assert torch.get_num_threads() == before
