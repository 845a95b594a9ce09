import base64
import csv
import html
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mmaslp.calibration import Calibrator, fit_calibrator
from mmaslp.calibration.estimates import without_bias
from mmaslp.commands import run_command
from mmaslp.files.prob_maps import MapReader
from mmaslp.files.reviews import Judged, write_review
from mmaslp.report.review_page import efforts
from mmaslp.report.views import views_of
from mmaslp.workflows.review import ReviewOptions, proof, review_maps
from tests.review_samples import estimate, table_of
from tests.test_calibration.object_scenes import discs, write_scenes


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Maps, masks and a calibrator of other ones."""
    root = tmp_path_factory.mktemp('review')
    val = write_scenes(root / 'val', 40)
    file = root / 'c.json'
    assert run_command('fit', [*map(str, val), '--out', str(file)]) == 0
    return (*write_scenes(root / 'test', 20, first=500), file)


def pixels_of(source):
    data = base64.b64decode(source.split(',')[1])
    return np.asarray(Image.open(io.BytesIO(data)).convert('RGB')).astype(int)


def rows_of(path):
    with open(path, newline='') as file:
        return [*csv.DictReader(file)]


def test_the_most_doubtful_image_is_first(folders, tmp_path, capsys):
    maps, masks, file = folders
    out, objects = tmp_path / 'r.csv', tmp_path / 'o.csv'
    args = [str(maps), '--calibrator', str(file), '--out', str(out)]
    args += ['--objects', str(objects), '--truth', str(masks)]
    assert run_command('review', args) == 0
    rows = rows_of(out)
    scores = [float(row['score']) for row in rows]
    assert scores == sorted(scores)
    assert {row['image'] for row in rows} == {path.stem for path in maps.iterdir()}
    calibrator = Calibrator.load(file)
    for row in rows[:3]:
        prob = np.asarray(Image.open(maps / f'{row["image"]}.png')) / 65535
        told, table = calibrator.judge(prob)
        assert float(row['dice']) == pytest.approx(told.dice, abs=1e-5)
        assert int(row['objects']) == len(table)
        own = [each for each in rows_of(objects) if each['image'] == row['image']]
        assert [float(each['probability']) for each in own] == pytest.approx(
            table.probability.tolist(), abs=1e-5
        )
    real = [int(each['real']) for each in rows_of(objects)]
    assert 0 < np.mean(real) < 1
    said = capsys.readouterr().out
    assert 'ECE of objects' in said


def test_the_file_says_whether_an_image_holds_anything(folders, tmp_path):
    maps, _, file = folders
    row = review_maps(Calibrator.load(file), maps)[0]
    known = replace(row, estimate=replace(row.estimate, present=0.25))
    unknown = replace(row, estimate=replace(row.estimate, present=np.nan))
    write_review(tmp_path / 'r.csv', [known, unknown])
    assert [each['present'] for each in rows_of(tmp_path / 'r.csv')] == ['0.25', '']


def test_processes_change_nothing(folders, tmp_path):
    maps, _, file = folders
    written = []
    for workers in ('1', '2'):
        out = tmp_path / f'{workers}.csv'
        args = [str(maps), '--calibrator', str(file), '--out', str(out)]
        assert run_command('review', [*args, '--workers', workers]) == 0
        written.append(out.read_bytes())
    assert written[0] == written[1]


def test_files_of_others_stay(folders, tmp_path, capsys):
    maps, _, file = folders
    own = tmp_path / 'own.csv'
    own.write_text('name,mark\na,1\n')
    args = [str(maps), '--calibrator', str(file), '--out', str(own)]
    assert run_command('review', args) == 2
    assert own.read_text() == 'name,mark\na,1\n'
    assert str(own) in capsys.readouterr().err


def test_improbable_objects_are_left_out(folders, tmp_path):
    maps, _, file = folders
    args = [str(file), str(maps), '--masks', 'keep', '--out']
    assert run_command('apply', [*args, str(tmp_path / 'all')]) == 0
    less = [*args, str(tmp_path / 'less'), '--min-object-prob', '0.5']
    assert run_command('apply', less) == 0
    calibrator = Calibrator.load(file)
    gone = 0
    for path in sorted(maps.iterdir()):
        prob = np.asarray(Image.open(path)) / 65535
        before, after = (
            np.asarray(Image.open(tmp_path / f'{name}_masks' / path.name)) > 0
            for name in ('all', 'less')
        )
        assert np.array_equal(before, prob > 0.5)
        table = calibrator.objects(prob)
        kept = table.label[table.probability >= 0.5]
        assert np.array_equal(after, np.isin(table.labels, kept))
        gone += len(table) - len(kept)
    assert gone


@pytest.mark.parametrize('option', ['--keep-real', '--max-false'])
def test_the_least_probability_is_chosen_by_what_it_costs(
    folders, tmp_path, capsys, option
):
    maps, _, file = folders
    args = [str(file), str(maps), '--masks', 'keep', '--out', str(tmp_path / 'x')]
    assert run_command('apply', [*args, option, '0.5']) == 0
    decisions = Calibrator.load(file).decisions
    name = option.strip('-').replace('-', '_')
    least = decisions.least_probability(**{name: 0.5})
    assert 0 < least < 1
    said = f'below a probability of {least:g} are left out'
    assert said in capsys.readouterr().out
    assert run_command('apply', [*args, option, '0.5']) == 2  # is there already
    assert said not in capsys.readouterr().out


def test_objects_are_left_out_of_the_masks_of_the_network(folders, tmp_path, capsys):
    maps, _, file = folders
    args = [
        str(file),
        str(maps),
        '--out',
        str(tmp_path / 'x'),
        '--min-object-prob',
        '.5',
    ]
    for masks in ([], ['--masks', 'dice']):
        assert run_command('apply', [*args, *masks]) == 2
        assert '--masks keep' in capsys.readouterr().err


def test_a_calibrator_of_an_older_version_is_named(folders, tmp_path, capsys):
    maps, _, file = folders
    plain = {**Calibrator.load(file).to_dict(), 'decisions': None}
    Calibrator.from_dict(plain).save(tmp_path / 'old.json')
    args = [str(maps), '--calibrator', str(tmp_path / 'old.json')]
    assert run_command('review', [*args, '--out', str(tmp_path / 'r.csv')]) == 2
    said = capsys.readouterr().err
    assert 'fit it again with `mmaslp fit`' in said
    assert said.count('fit it again') == 1
    assert not (tmp_path / 'r.csv').exists()


def test_volumes_from_fit_to_masks(tmp_path, recwarn):
    nibabel = pytest.importorskip('nibabel')
    val = write_scenes(tmp_path / 'val', 30, depth=6, size=32)
    maps, masks = write_scenes(tmp_path / 'test', 6, first=300, depth=6, size=32)
    for path in masks.iterdir():  # nnU-Net writes its masks beside its maps
        pixels = np.asarray(nibabel.load(path).dataobj)
        for folder in (maps, masks):
            own = nibabel.Nifti1Image(pixels, np.diag([0.5, 0.5, 2, 1]))
            nibabel.save(own, folder / path.name)
    file = tmp_path / 'c.json'
    assert run_command('fit', [*map(str, val), '--out', str(file)]) == 0
    out = tmp_path / 'r.csv'
    args = [str(maps), '--calibrator', str(file), '--out', str(out)]
    objects = tmp_path / 'o.csv'
    args += ['--truth', str(masks), '--objects', str(objects)]
    assert run_command('review', args) == 0
    assert len(rows_of(out)) == 6
    for row in rows_of(out):
        volume = float(row['area']) * 0.5
        assert float(row['volume_mm3']) == pytest.approx(volume, rel=1e-4)
    assert {'z_first', 'y_last', 'x_centre'} <= set(rows_of(objects)[0])
    args = ['review', str(maps), '--calibrator', str(file), '--overwrite']
    args += ['--objects-out', str(tmp_path / 'objects')]
    for stale in ('', 'old.nii.gz'):
        if stale:
            (tmp_path / 'objects' / stale).touch()
        recwarn.clear()
        assert run_command(*args[:1], args[1:]) == 0
        said = [str(each.message) for each in recwarn]
        assert any(f'earlier run: {stale}' in each for each in said) == bool(stale)
    args = [str(file), str(maps), '--masks', 'keep', '--min-object-prob', '0.5']
    assert run_command('apply', [*args, '--out', str(tmp_path / 'out')]) == 0
    # On the grid of the file that nnU-Net wrote beside the map.
    mask = nibabel.load(next((tmp_path / 'out_masks').iterdir()))
    assert mask.shape == (32, 32, 6)
    assert mask.header.get_zooms() == (0.5, 0.5, 2)


def test_a_proof_leaves_out_images_without_a_bound(folders):
    maps, masks, file = folders
    calibrator = Calibrator.load(file)
    options = ReviewOptions(level=0.9999)
    rows = review_maps(calibrator, maps, masks, options=options)
    assert np.isnan(proof(rows)['covered']).all()
    rows = review_maps(calibrator, maps, masks)
    assert proof(rows)['covered'][0] > 0.8
    assert np.isfinite(proof(rows[:2])['dice_error']).all()
    assert np.isnan(proof(rows[:1])['dice_error']).tolist() == [False, True, True]
    without = [*rows[:2], replace(rows[2], truth=None)]
    with pytest.raises(ValueError, match=f'{rows[2].name} has no mask to measure'):
        proof(without)
    with pytest.raises(ValueError, match='there is no image to measure'):
        proof([])


def test_a_proof_of_copies_is_that_of_their_groups(folders):
    """Ten copies of each image are no more images."""
    maps, masks, file = folders
    rows = review_maps(Calibrator.load(file), maps, masks)
    copies = [row for row in rows for _ in range(10)]
    groups = [place for place in range(len(rows)) for _ in range(10)]
    expected = proof(rows)
    for key, values in proof(copies, groups=groups).items():
        # The area under a curve of more points is another one.
        tolerance = 0.01 if key == 'aurc' else 1e-9
        assert values == pytest.approx(expected[key], abs=tolerance), key
    naive = proof(copies)['dice_error']
    width = expected['dice_error'][2] - expected['dice_error'][1]
    assert naive[2] - naive[1] < 0.5 * width


def test_groups_of_a_review(folders, tmp_path, capsys):
    maps, masks, file = folders
    args = [str(maps), '--calibrator', str(file), '--out', str(tmp_path / 'r.csv')]
    args += ['--groups', '^..']
    assert run_command('review', args) == 0
    assert re.match(r'\d groups are too few to compare', capsys.readouterr().out)
    args += ['--truth', str(masks), '--overwrite']
    assert run_command('review', args) == 0
    assert re.search(r'95 % interval over \d groups', capsys.readouterr().out)


@pytest.mark.parametrize('options', [{}, dict(depth=6, size=32)])
def test_the_proof_is_that_of_loops(tmp_path, options):
    pytest.importorskip('nibabel')
    scenes = [discs(k, **options) for k in range(40)]
    calibrator = fit_calibrator([p for p, _ in scenes], [m for _, m in scenes])
    maps, masks = write_scenes(tmp_path, 24, first=300, **options)
    rows = review_maps(calibrator, maps, masks)
    objects, images = [], []
    for row in rows:
        prob, label = discs(int(row.name), **options)
        found, number = ndimage.label(prob > 0.5)
        least = 1e-6 if options else 1e-3
        own = [found == k for k in range(1, number + 1)]
        own = [mask for mask in own if mask.mean() >= least]
        assert len(own) == len(row.objects)
        for mask, probability in zip(own, row.objects.probability):
            objects.append((probability, label[mask].mean() > 0.5))
        size = (prob > 0.5).sum() + label.sum()
        dice = 2 * ((prob > 0.5) & (label == 1)).sum() / size
        area = abs(row.estimate.area - label.sum()) / label.size
        told = row.estimate
        images.append((told.score, dice, told.dice, told.dice_low, area))

    measured = {key: values[0] for key, values in proof(rows).items()}
    ece = 0
    for low in np.arange(10) / 10:
        bin_ = [o for o in objects if low < o[0] <= low + 0.1]
        ece += abs(sum(p - real for p, real in bin_)) / len(objects)
    assert measured['ece_object'] == pytest.approx(ece)
    pairs = [
        (p > q) + (p == q) / 2
        for p, real in objects
        for q, other in objects
        if real and not other
    ]
    assert measured['auroc_object'] == pytest.approx(np.mean(pairs))
    images.sort(key=lambda image: -image[0])
    _, dice, told, low, area = np.array(images).T
    risks = [np.mean(1 - dice[: k + 1]) for k in range(len(dice))]
    assert measured['aurc'] == pytest.approx(np.mean(risks), rel=1e-5)
    assert measured['dice_error'] == pytest.approx(np.abs(told - dice).mean(), rel=1e-4)
    assert measured['covered'] == pytest.approx((dice >= low).mean())
    assert measured['area_error'] == pytest.approx(area.mean(), rel=1e-4)


def test_a_page_shows_every_image_and_escapes_names(folders, tmp_path):
    maps, _, file = folders
    odd, photos = tmp_path / 'odd', tmp_path / 'photos'
    odd.mkdir()
    photos.mkdir()
    for k, path in enumerate(sorted(maps.iterdir())[:4]):
        name = f'<b>&{k}.png' if k == 0 else path.name
        (odd / name).write_bytes(path.read_bytes())
        Image.new('RGB', (96, 96), (k, 90, 90)).save(photos / name)
    page = tmp_path / 'page.html'
    args = [str(odd), '--calibrator', str(file), '--out', str(tmp_path / 'r.csv')]
    args += ['--report', str(page), '--images', str(photos)]
    assert run_command('review', args) == 0
    text = page.read_text()
    assert text.count('data:image/webp') == 4
    assert '<b>' not in text.split('<main', 1)[1]
    assert '&lt;b&gt;&amp;0' in text
    assert text.count('<script>') == 1
    assert not re.search(r'url\(|@import|<link|https?://', text)
    names = re.findall(r'<h3>\d+\. (.*)</h3>', text)
    assert len(names) == 4
    assert names == [html.escape(row['image']) for row in rows_of(tmp_path / 'r.csv')]


@pytest.mark.parametrize(
    ('ending', 'content', 'code', 'said'),
    [
        ('.jpg', None, 0, '19 of 20 images have no photograph'),
        ('.jpg', b'', 2, r'its photograph \S*500\.jpg: cannot be read'),
        ('.webp', b'', 2, r'500\.webp: not a photograph; known endings are \.jpg'),
    ],
)
def test_photographs_that_are_not_there_or_broken(
    folders, tmp_path, capsys, ending, content, code, said
):
    maps, _, file = folders
    photos = tmp_path / 'photos'
    photos.mkdir()
    photo = photos / f'500{ending}'
    Image.new('RGB', (48, 48)).save(photo)
    if content is not None:
        photo.write_bytes(content)
    args = [str(maps), '--calibrator', str(file), '--report', str(tmp_path / 'p.html')]
    assert run_command('review', [*args, '--images', str(photos)]) == code
    assert re.search(said, ''.join(capsys.readouterr()))


def test_a_photograph_twice_is_said(folders, tmp_path, capsys):
    maps, _, file = folders
    photos = tmp_path / 'photos'
    photos.mkdir()
    for name in ('500.jpg', '500.png'):
        Image.new('RGB', (48, 48)).save(photos / name)
    args = [str(maps), '--calibrator', str(file), '--report', str(tmp_path / 'p.html')]
    assert run_command('review', [*args, '--images', str(photos)]) == 0
    said = capsys.readouterr().out
    assert re.search(r'left out: \S*500\.png: the same name as 500\.jpg', said)


def test_a_broken_scan_is_named(tmp_path):
    empty = np.zeros((2, 4, 4), int)
    image = Judged(tmp_path, 'a', empty / 1, table_of(empty, []), estimate())
    (tmp_path / 'a.nii.gz').write_bytes(b'')
    with pytest.raises(ValueError, match=r'its scan .*a\.nii\.gz: '):
        views_of({'a': tmp_path / 'a.nii.gz'}, image)


def test_outlines_have_the_colour_of_the_probability(folders):
    maps, _, file = folders
    calibrator = Calibrator.load(file)
    for path in sorted(maps.iterdir())[:4]:
        prob = MapReader().read(path)
        objects = calibrator.objects(prob)
        [view] = views_of({}, Judged(path, path.stem, prob, objects, estimate()))
        pixels = pixels_of(view.source)
        assert pixels.shape == (320, 320, 3)
        blue = pixels[..., 2] - pixels[..., 0] > 100
        assert blue.any() == (objects.probability >= 0.8).any()


def test_looking_at_more_images_leaves_better_ones(folders):
    maps, masks, file = folders
    calibrator = Calibrator.load(file)
    rows = review_maps(calibrator, maps, masks)
    found = efforts(rows, calibrator.decisions)
    assert [effort.number for effort in found] == [0, 1, 2, 4, 10]
    expected = without_bias(calibrator.decisions, [row.estimate for row in rows])
    assert found[3].rest == pytest.approx(np.mean(expected[4:]))
    assert found[0].true_rest == pytest.approx(
        np.mean([row.truth.dice for row in rows])
    )
    assert found[-1].rest > found[0].rest


@pytest.mark.parametrize(('level', 'alone'), [(0.9, False), (0.999, True)])
def test_bounds_that_the_fit_cannot_tell_are_said(
    folders, tmp_path, capsys, level, alone
):
    maps, _, file = folders
    args = [str(maps), '--calibrator', str(file), '--level', str(level)]
    assert run_command('review', [*args, '--out', str(tmp_path / 'r.csv')]) == 0
    said = '20 of 20 images have no bound of Dice: the fit has too few images'
    assert (said in capsys.readouterr().out) == alone
    assert {row['dice_low'] == '' for row in rows_of(tmp_path / 'r.csv')} == {alone}


@pytest.mark.parametrize('kind', ['full', 'empty', 'like'])
def test_maps_of_another_kind_are_said(folders, tmp_path, capsys, kind):
    maps, _, file = folders
    other = tmp_path / 'other'
    other.mkdir()
    for path in sorted(maps.iterdir())[:5]:
        value = {'full': 65535, 'empty': 0}.get(kind)
        pixels = np.asarray(Image.open(path)).copy()
        Image.fromarray(pixels if value is None else pixels * 0 + value).save(
            other / path.name
        )
    page = tmp_path / 'page.html'
    args = [str(other), '--calibrator', str(file), '--out', str(tmp_path / 'r.csv')]
    args += ['--report', str(page)]
    assert run_command('review', args) == 0
    assert ('so it has no bound' in page.read_text()) == (kind != 'like')
    said = capsys.readouterr().out
    # A set that differs from that of the fit is said first, here and on the page.
    words = 'No difference is seen' if kind == 'like' else 'The 5 new images differ'
    assert said.startswith(words)
    header = page.read_text().split('</header>')[0]
    assert ('class="notice">The 5 new images differ' in header) == (kind != 'like')
    assert ('<p>No difference is seen' in header) == (kind == 'like')
    assert ('5 of 5 images are outside the range' in header) == (kind != 'like')
    assert 'nan to nan' not in page.read_text()
    assert ('outside the range of the validation images' in said) == (kind != 'like')
    assert ('have no expected Dice' in said) == (kind != 'like')
    assert {row['out_of_range'] for row in rows_of(tmp_path / 'r.csv')} == {
        '0' if kind == 'like' else '1'
    }
