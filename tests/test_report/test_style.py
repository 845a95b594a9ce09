import pytest

from mmaslp.report.style import (
    MODELS,
    OVER,
    clean_axes,
    figure_svg,
    new_figure,
    save_figure,
)


def drawn():
    figure = new_figure(2, 1)
    axes = figure.add_subplot()
    axes.bar([0, 1], [1, 2], color=OVER + '66')
    axes.plot([0, 1], [1, 2], color=MODELS[3], marker='o')
    axes.set_title('<b>&', parse_math=False)
    clean_axes(axes)
    return figure


def test_a_page_gets_its_own_colours_and_font():
    svg = str(figure_svg(drawn(), 'a "label"', 'x'))
    assert svg.startswith(
        '<svg class="chart" role="img" aria-label="a &#34;label&#34;"'
    )
    assert svg.rstrip().endswith('</svg>')
    assert 'fill: var(--over); fill-opacity: 0.4' in svg
    assert 'stroke: var(--c3)' in svg and OVER not in svg and MODELS[3] not in svg
    assert '&lt;b&gt;&amp;</text>' in svg
    for word in ('DejaVu', 'http', 'url(', '<g id', '<?xml', 'metadata', '<!--'):
        assert word not in svg, word


@pytest.mark.parametrize(
    ('suffix', 'head'), [('png', b'\x89PNG'), ('PDF', b'%PDF'), ('svg', b'<?xml')]
)
def test_files_by_their_ending_bear_our_mark(tmp_path, suffix, head):
    path = tmp_path / f'x.{suffix}'
    save_figure(drawn(), path)
    assert (
        path.read_bytes().startswith(head) and b'diagram of mmaslp' in path.read_bytes()
    )
    with pytest.raises(ValueError, match=r'x\.jpg'):
        save_figure(drawn(), tmp_path / 'x.jpg')
