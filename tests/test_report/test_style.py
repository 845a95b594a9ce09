from matplotlib.figure import Figure

from mmaslp.report.style import clean_axes


def test_axes_have_two_sides():
    axes = Figure().subplots()
    clean_axes(axes)
    shown = {side for side, spine in axes.spines.items() if spine.get_visible()}
    assert shown == {'left', 'bottom'}
