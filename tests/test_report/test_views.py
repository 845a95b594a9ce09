"""Pictures of a review: the voxel under the outline is the object's."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmaslp.files.images import upright
from mmaslp.files.object_volumes import colour_of
from mmaslp.files.reviews import Judged
from mmaslp.files.volumes import grid_of, read_nifti
from mmaslp.report.views import draw, views_of
from tests.review_samples import estimate, table_of

SIZE = np.array((40, 32, 12))  # voxels along x, y, z
SPACING = np.array((1.0, 1.0, 3.0))
CORNER = np.array((-20.0, -10.0, 50.0))  # mm of the first voxel, in RAS
# Two lesions of a scan in RAS: at the left and in front, low; at the right, high up.
LESIONS = (slice(4, 8), slice(22, 27), slice(2, 4)), (slice(30, 34), slice(5, 8), 9)


def scan():
    """Greys ``(X, Y, Z)`` in RAS that differ everywhere, and the lesions in it."""
    x, y, z = np.indices(SIZE)
    grey = 100 + 2 * x + y + 3 * z + 20 * np.sin(x / 3)
    labels = np.zeros(SIZE, np.int32)
    for number, box in enumerate(LESIONS, 1):
        labels[box] = number
    return grey + 40 * (labels > 0), labels


def written(path, values, codes):
    """Save an array in RAS as another orientation of the same anatomy."""
    import nibabel

    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = CORNER
    image = nibabel.Nifti1Image(values.astype(np.float32), affine)
    now = nibabel.io_orientation(affine)
    then = nibabel.orientations.axcodes2ornt(codes)
    nibabel.save(
        image.as_reoriented(nibabel.orientations.ornt_transform(now, then)), path
    )
    return path


def views(folder, codes, slice_axis=0, scan_codes=None):
    """Views of the lesions, and their file as an array ``(Z, Y, X)``."""
    grey, labels = scan()
    folder.mkdir()
    file = written(folder / 'map.nii.gz', labels, codes)
    photo = written(folder / 'scan.nii.gz', grey, scan_codes or codes)
    stored = read_nifti(file).astype(np.int32)
    found = np.ascontiguousarray(np.moveaxis(stored, slice_axis, 0))
    prob = np.where(found > 0, 0.9, 0.1)
    table = table_of(found, [0.3, 0.9])
    options = dict(grid=grid_of(file), slice_axis=slice_axis)
    image = Judged(file, 'a', prob, table, estimate(), **options)
    return views_of({'a': photo}, image), stored


def pixels_of(view):
    data = base64.b64decode(view.source.split(',')[1])
    return np.asarray(Image.open(io.BytesIO(data)).convert('RGB')).astype(int)


def inside(view, probability):
    """Rows and columns of the box within an outline, as shares of the picture."""
    far = np.abs(pixels_of(view) - colour_of(probability)).max(-1)
    rows, columns = np.nonzero(far < 60)
    middle = (rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2
    return np.array(middle) / (view.height, view.width)


@pytest.mark.parametrize('codes', ['RAS', 'LPS', 'PSR'])
@pytest.mark.parametrize('slice_axis', [0, 2])
def test_the_voxel_under_the_outline_is_that_of_the_lesion(tmp_path, codes, slice_axis):
    pytest.importorskip('nibabel', reason='needs the extra [volumes]')
    drawn, stored = views(tmp_path / 'x', codes, slice_axis)
    assert [view.title.split(',')[0] for view in drawn] == [
        *('axial', 'coronal', 'sagittal'),  # of the least probable
        'axial',  # the thickest slices, of the next one
    ]
    for view, label in zip(drawn, (1, 1, 1, 2)):
        plane, number, size, axis, side, mm = re.fullmatch(
            r'(\w+), slice (\d+) of (\d+) along (\w), (\w) (.+) mm', view.title
        ).groups()
        row = 'zyx'.index(axis)
        assert int(size) == stored.shape[row]
        cut = stored.take(int(number) - 1, row) == label
        assert (
            cut.sum()
            == (stored == label)
            .sum(tuple(other for other in range(3) if other != row))
            .max()
        )

        # From the picture to the patient: by its sides, which are those of the page.
        down, right = inside(view, [0.3, 0.9][label - 1])
        across = {'axial': 'RA', 'coronal': 'RS', 'sagittal': 'AS'}[plane]
        ras = dict.fromkeys('RAS', None)
        ras[across[0]] = 1 - right  # the right, and the front, at the left
        ras[across[1]] = 1 - down
        low = np.array(
            [box.start if isinstance(box, slice) else box for box in LESIONS[label - 1]]
        )
        high = np.array(
            [
                box.stop if isinstance(box, slice) else box + 1
                for box in LESIONS[label - 1]
            ]
        )
        for letter, share in ras.items():
            k = 'RAS'.index(letter)
            if share is not None:
                assert share * SIZE[k] == pytest.approx((low + high)[k] / 2, abs=0.6)
        k = 2 - ('axial', 'coronal', 'sagittal').index(plane)
        towards = float(mm) * (1 if side in 'RAS' else -1)
        first, last = (CORNER + SPACING * end for end in (low, high - 1))
        assert first[k] - 0.1 <= towards <= last[k] + 0.1


def test_one_anatomy_gives_one_picture(tmp_path):
    pytest.importorskip('nibabel', reason='needs the extra [volumes]')
    one, _ = views(tmp_path / 'a', 'RAS')
    for name, codes, scan_codes in (('b', 'LPS', None), ('c', 'LAI', 'RAS')):
        other, _ = views(tmp_path / name, codes, scan_codes=scan_codes)
        assert [view.source for view in one] == [view.source for view in other]


def test_voxels_are_shown_as_wide_as_they_are(tmp_path):
    pytest.importorskip('nibabel', reason='needs the extra [volumes]')
    drawn, _ = views(tmp_path / 'a', 'RAS')
    x, y, z = SIZE * SPACING
    for view, ratio in zip(drawn, (x / y, x / z, y / z)):
        assert view.width / view.height == pytest.approx(ratio, rel=0.01)


def test_a_scan_that_lies_elsewhere_is_refused(tmp_path):
    nibabel = pytest.importorskip('nibabel', reason='needs the extra [volumes]')
    grey, labels = scan()
    file = written(tmp_path / 'map.nii.gz', labels, 'RAS')
    photo = written(tmp_path / 'scan.nii.gz', grey, 'RAS')
    stored = read_nifti(file).astype(np.int32)
    table = table_of(stored, [0.3, 0.9])
    image = Judged(file, 'a', stored * 0.9, table, estimate(), grid=grid_of(file))
    moved = nibabel.load(photo)
    moved.affine[2, 3] += 30  # mm
    nibabel.save(nibabel.Nifti1Image(moved.dataobj, moved.affine), photo)
    with pytest.raises(ValueError, match=r'scan\.nii\.gz: its voxels are not in'):
        views_of({'a': photo}, image)


def test_a_volume_without_a_place_is_shown_as_it_is_stored():
    labels = np.zeros((6, 20, 30), np.int32)
    labels[4, 3:6, 10:20] = 1
    table = table_of(labels, [0.3])
    prob = np.where(labels, 0.9, 0.1)
    image = Judged(Path('a.npy'), 'a', prob, table, estimate())
    titles = [view.title for view in views_of({}, image)]
    assert titles[0] == 'slice 5 of 6 along z'


def test_a_label_that_is_not_seen_has_its_slice():
    label = np.zeros((6, 20, 30), np.uint8)
    label[4, 3:6, 10:20] = 1
    label[1, 3:6, 10:20] = 1
    prob = np.where(label, 0.9, 0.1)
    prob[:3] = 0.1
    table = table_of((prob > 0.5).astype(np.int32), [0.9])
    image = Judged(Path('a.npy'), 'a', prob, table, estimate(), label)
    *_, seen, last = views_of({}, image, with_labels=True)
    assert last.title == 'slice 2 of 6 along z'
    assert last.note and not seen.note
    assert (pixels_of(last) > 200).all(-1).any()  # the white line of the label


@pytest.mark.parametrize('orientation', [1, 6])
@pytest.mark.parametrize('as_stored', [False, True])
def test_a_photograph_stands_as_its_map(tmp_path, orientation, as_stored):
    photo = Image.new('RGB', (60, 40), 'white')
    photo.paste('red', (0, 0, 60, 10))  # a bar at the top of what is stored
    exif = Image.Exif()
    exif[274] = orientation
    photo.save(tmp_path / 'a.jpg', exif=exif)
    turned = orientation == 6 and not as_stored
    shape = (60, 40) if turned else (40, 60)
    image, fits = upright(tmp_path / 'a.jpg', shape)
    assert (image.height, image.width) == shape
    assert fits
    red = np.asarray(image).astype(int)[..., 1] < 128
    rows, columns = np.nonzero(red)
    assert (columns.min() > 20) == turned  # to the right, by a quarter turn
    assert (rows.max() < 20) == (not turned)


def test_another_aspect_is_noted(tmp_path):
    Image.new('RGB', (80, 40)).save(tmp_path / 'a.png')
    image, fits = upright(tmp_path / 'a.png', (64, 64))
    assert image.size == (80, 40)
    assert not fits


def test_an_object_stays_free_of_its_outline():
    labels = np.zeros((64, 64), np.int32)
    labels[20:23, 30:33] = 1
    view = draw(Image.new('RGB', (64, 64), 'white'), labels, np.array([0.3]), '')
    pixels = pixels_of(view)
    assert (pixels[103:112, 153:162] > 200).all()  # 5 times as large
    assert np.abs(inside(view, 0.3) * 64 - (21.5, 31.5)).max() < 0.5
