from xml.etree import ElementTree

from mmaslp.report.svg import Frame, element, mark, marker


def test_texts_and_values_are_escaped():
    made = element(
        'text', '<b>', title='"&', class_='a', aria_label='x', none=None, x=1.26
    )
    assert (
        made
        == '<text title="&#34;&amp;" class="a" aria-label="x" x="1.3">&lt;b&gt;</text>'
    )
    made = mark('<script>', element('rect', x=2.0), class_='more')
    root = ElementTree.fromstring(made)
    assert root.find('title').text == '<script>' and root.get('class') == 'mark more'
    assert (root.get('role'), root.get('tabindex')) == ('img', '-1')


def test_models_differ_in_shape_and_colour():
    first, second = marker(0, 1, 2), marker(1, 1, 2)
    assert 'c0' in first and 'c1' in second
    assert first.split('d="')[1].split('"')[0] != second.split('d="')[1].split('"')[0]
    assert marker(12, 0, 0)  # more models than colours


def test_frame_maps_data_to_points():
    frame = Frame(10, 20, 100, 50, (0, 1), (-1, 1))
    assert (frame.px(0), frame.px(1)) == (10, 110)
    assert (frame.py(-1), frame.py(1), frame.py(0)) == (70, 20, 45)
    assert frame.py(5) == 20  # cut at the edge
    bar = ElementTree.fromstring(frame.bar(0, 0.5, 0, 1, 'bar'))
    assert [bar.get(k) for k in ('x', 'y', 'width', 'height')] == [
        '10',
        '20',
        '50',
        '25',
    ]
