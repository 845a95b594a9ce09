import pytest
import torch

from mmaslp.losses.window import check_maps, foreground_share


def test_share_of_the_labelled_pixels_of_the_window():
    labels = torch.tensor([[[1.0, 0, 0], [1, 0, 0]]])
    valid = torch.tensor([[[True, True, False], [True, True, True]]])
    # By column 2 of 4, 2 of 5 and 0 of 3 labelled pixels are foreground.
    expected = torch.tensor([0.5, 0.4, 0.0]).expand(1, 2, 3)
    torch.testing.assert_close(foreground_share(labels, valid), expected)
    every = torch.tensor([0.5, 1 / 3, 0.0]).expand(1, 2, 3)
    torch.testing.assert_close(foreground_share(labels, None), every)
    nothing = torch.zeros_like(valid)
    assert (foreground_share(labels * nothing, nothing) == 0).all()


@pytest.mark.parametrize('size', [3, 7])
def test_one_label_gives_exactly_0_or_1(size):
    valid = torch.rand(2, 9, 8, generator=torch.Generator().manual_seed(0)) < 0.5
    valid[:, 4, 4] = True
    for dtype in (torch.float32, torch.float64):
        share = foreground_share(valid.to(dtype), valid, size)
        assert set(share.unique().tolist()) <= {0.0, 1.0}
        assert (share[valid] == 1).all()


def test_points_are_refused():
    check_maps(torch.zeros(1, 1, 2, 2), 'SomeLoss')
    with pytest.raises(ValueError, match=r'SomeLoss needs maps .* \(1, 1, 4\): points'):
        check_maps(torch.zeros(1, 1, 4), 'SomeLoss')
