import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmaslp import ObjectFreeWindows
from mmaslp.augmentation.windows import find_window, resized


def generator(seed=0):
    return np.random.default_rng(seed)


def place(window):
    """Top, left, height and width of a window."""
    rows, columns = window
    height, width = (part.stop - part.start for part in window)
    return rows.start, columns.start, height, width


def free_windows(mask, smallest):
    """All windows of the image's proportions that are free, by a loop."""
    height, width = mask.shape
    shorter = min(mask.shape)
    found = {}
    for side in range(1, shorter + 1):
        if side < np.ceil(smallest * shorter):
            continue
        rows, columns = (
            max(1, round(side / shorter * length)) for length in (height, width)
        )
        for top, left in itertools.product(
            range(height - rows + 1), range(width - columns + 1)
        ):
            if not mask[top : top + rows, left : left + columns].any():
                found.setdefault(side, []).append((top, left, rows, columns))
    return found


@pytest.mark.parametrize('shape', [(12, 12), (9, 15), (20, 8)])
@pytest.mark.parametrize('smallest', [0.1, 0.25, 0.6])
def test_windows_are_drawn_from_all_that_are_free(shape, smallest):
    rng = generator()
    for k in range(12):
        mask = np.zeros(shape, np.uint8)
        top, left = (rng.integers(length) for length in shape)
        mask[top : top + 5, left : left + 6] = (1, 255, 7)[k % 3]
        free = free_windows(mask, smallest)
        drawn = [find_window(mask, smallest, rng) for _ in range(40)]
        if not free:
            assert drawn == [None] * 40
            continue
        known = {window for windows in free.values() for window in windows}
        assert {place(window) for window in drawn} <= known


def test_what_is_one_of_torchvision_stays_one():
    tv_tensors = pytest.importorskip('torchvision.tv_tensors')
    transforms = pytest.importorskip('torchvision.transforms.v2')
    mask = torch.zeros(1, 16, 16, dtype=torch.uint8)
    mask[:, :4] = 1
    given = tv_tensors.Image(torch.rand(3, 16, 16)), tv_tensors.Mask(mask)
    image, nothing = ObjectFreeWindows(prob=1.0, seed=0)(*given)
    plain, _ = ObjectFreeWindows(prob=1.0, seed=0)(
        given[0].as_subclass(torch.Tensor), mask
    )
    assert (type(image), type(nothing)) == (tv_tensors.Image, tv_tensors.Mask)
    assert torch.equal(image, plain)
    assert not torch.equal(image, given[0])
    assert given[1].any()
    assert not nothing.any()
    smaller = transforms.Resize((8, 8))(image, nothing)
    assert {each.shape[-2:] for each in smaller} == {(8, 8)}


def test_sizes_and_places_are_uniform():
    mask = np.zeros((8, 8), bool)
    mask[:, 4:] = True  # free: the left half
    rng = generator()
    drawn = [find_window(mask, 0.25, rng) for _ in range(6000)]
    places = np.array([place(window) for window in drawn])
    sides = np.bincount(places[:, 2], minlength=5)[2:]
    assert sides / 6000 == pytest.approx([1 / 3] * 3, abs=0.03)
    lefts = np.bincount(places[places[:, 2] == 2, 1])
    assert lefts / lefts.sum() == pytest.approx([1 / 3] * 3, abs=0.03)


@pytest.mark.parametrize(
    'dtype', [np.uint8, np.uint16, np.int16, np.float32, np.float64]
)
@pytest.mark.parametrize('shape', [(6, 5), (6, 5, 1), (6, 5, 3)])
def test_windows_are_resized_as_torch_does(dtype, shape):
    most = 60000 if dtype == np.uint16 else 200
    image = (generator().random(shape) * most).astype(dtype)
    found = resized(image, 13, 11)
    assert found.dtype == dtype
    assert found.shape == (13, 11, *shape[2:])
    planes = torch.from_numpy(image.reshape(6, 5, -1).astype(np.float64))
    exact = F.interpolate(planes.permute(2, 0, 1)[None], (13, 11), mode='bilinear')
    exact = exact[0].permute(1, 2, 0).reshape(found.shape).numpy()
    apart = 0.51 if np.issubdtype(dtype, np.integer) else 1e-4 * most
    assert np.abs(found - exact).max() <= apart
    tensor = resized(planes.permute(2, 0, 1).float(), 13, 11)
    assert torch.allclose(
        tensor[0].double(),
        torch.from_numpy(exact).reshape(13, 11, -1)[..., 0].double(),
        atol=1e-2,
    )


@pytest.mark.parametrize('kind', ['grey', 'colour', 'tensor', 'channel'])
def test_an_image_becomes_a_window_of_itself(kind):
    image = np.tile(np.arange(8.0), (8, 1))  # the number of the column
    mask = np.zeros((8, 8), np.uint8)
    mask[:, 5:] = 1
    mask[:, 4] = 255
    if kind == 'colour':
        image = np.stack([image, image + 100, image * 0], -1)
    if kind in ('tensor', 'channel'):
        image = torch.from_numpy(image).expand(3, 8, 8)
        mask = torch.from_numpy(mask)
        mask = mask[None] if kind == 'channel' else mask
    before = np.array(image)
    windows = ObjectFreeWindows(prob=1.0, seed=0)
    found, labels = windows(image, mask)
    assert type(found) is type(image)
    assert found.shape == image.shape
    assert labels.shape == mask.shape
    assert labels.dtype == mask.dtype
    assert not labels.any()
    assert np.array_equal(np.array(image), before)
    first = found[0] if kind in ('tensor', 'channel') else found
    first = first[..., 0] if kind == 'colour' else first
    assert np.array(first).max() <= 3 + 1e-6  # columns 0 to 3 are free


def test_full_images_take_windows_of_others():
    windows = ObjectFreeWindows(prob=1.0, seed=0)
    full = np.ones((6, 6), np.uint8)
    image = np.full((6, 6), 7.0)
    assert windows(image, full)[1] is full  # nothing is known yet
    windows(np.full((8, 8), 3.0), np.zeros((8, 8), np.uint8))
    found, labels = windows(image, full)
    assert found.shape == (6, 6)
    assert found == pytest.approx(3)
    assert not labels.any()
    colour = np.zeros((6, 6, 3))
    assert windows(colour, full)[0] is colour  # no window of three channels


def test_how_often():
    image, mask = np.zeros((8, 8)), np.eye(8)
    for prob in (0.0, 0.25, 1.0):
        windows = ObjectFreeWindows(prob=prob, seed=1)
        share = np.mean([windows(image, mask)[1] is not mask for _ in range(2000)])
        assert share == pytest.approx(prob, abs=0.03)


def test_a_batch_stays_where_it_is():
    images = torch.arange(4 * 3 * 64.0).view(4, 3, 8, 8)
    masks = torch.zeros(4, 8, 8, dtype=torch.long)
    masks[:, :2] = 1
    found, labels = ObjectFreeWindows(prob=0.5, seed=3).batch(images, masks)
    assert found.shape == images.shape
    assert labels.dtype == masks.dtype
    replaced = ~labels.flatten(1).any(1)
    assert 0 < replaced.sum() < 4
    same = (found == images).flatten(1).all(1)
    assert torch.equal(same, ~replaced)


class Images(torch.utils.data.Dataset):
    def __init__(self):
        self.windows = ObjectFreeWindows(prob=0.5)

    def __len__(self):
        return 12

    def __getitem__(self, index):
        image = np.full((8, 8), index) + np.arange(64.0).reshape(8, 8)
        return self.windows(image, np.eye(8))


def drawn(workers, epochs=1):
    torch.manual_seed(0)
    loader = torch.utils.data.DataLoader(Images(), batch_size=4, num_workers=workers)
    return [torch.cat([image for image, _ in loader]) for _ in range(epochs)]


def test_workers_draw_the_same_again():
    one, two = (drawn(workers=2, epochs=2) for _ in range(2))
    for first, second in zip(one, two):
        assert torch.equal(first, second)
    assert not torch.equal(*one)  # another epoch draws others


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (dict(prob=1.5), 'prob must be'),
        (dict(smallest=0), 'smallest must be'),
        (dict(smallest=float('nan')), 'smallest must be'),
    ],
)
def test_wrong_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        ObjectFreeWindows(**arguments)


def test_image_and_mask_of_two_sizes():
    windows = ObjectFreeWindows(prob=1.0)
    with pytest.raises(ValueError, match='differ'):
        windows(np.zeros((8, 8)), np.zeros((8, 9)))
    with pytest.raises(ValueError, match='batch'):
        windows(torch.zeros(4, 3, 8, 8), torch.zeros(4, 8, 8))


@pytest.mark.parametrize('dtype', [np.uint8, np.int32, np.float16, np.float64])
@pytest.mark.parametrize('as_tensor', [False, True])
def test_a_window_has_the_kind_of_its_image(dtype, as_tensor):
    """An earlier window of another type does not take its place; none is rounded."""
    make = torch.from_numpy if as_tensor else np.asarray
    windows = ObjectFreeWindows(prob=1.0, seed=0)
    free, full = np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8)
    for other in (np.uint16, np.float32, dtype):
        windows(np.full((8, 8), 7, other), free)
    large = 2**25 + 1 if dtype in (np.int32, np.float64) else 9
    image = make(np.full((8, 8), large, dtype))
    windows(image, make(free))
    found, _ = windows(image, make(full))
    assert type(found) is type(image)
    assert found.dtype == image.dtype
    assert (found == image).all()
