import json
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmaslp.report.document import Panel, Report, SourceFile

# Not importable by name under pytest's importlib mode.
helper = SimpleNamespace(**runpy.run_path(Path(__file__).with_name('sections.py')))
PIXEL = 'data:image/webp;base64,AAAA'


def full():
    file = SourceFile('checkpoint', 'x.pth', '0' * 64)
    one = helper.entry('A', with_pictures=True, number=2)
    one = replace(one, files=(file,), settings={'a': 'b'}, measures={'mae': None})
    return helper.report(one, baseline='A', pictures=3)


def test_report_goes_around_json():
    report = full()
    assert helper.again(report) == report
    assert 'NaN' not in report.to_json()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda c: c.update(format='other'), 'is no report of mmaslp'),
        (lambda c: c.update(format_version=2), 'reads format 1: update mmaslp'),
        (lambda c: c.pop('title'), r"damaged report \(KeyError: 'title'"),
        (lambda c: c.update(title=3), 'damaged report .*3 is no text'),
        (lambda c: c.update(entries=[]), 'needs at least one result'),
        (lambda c: c.update(baseline='Z'), "baseline 'Z' is none of the models: A"),
        (
            lambda c: c['entries'][0]['pictures'][0]['panels']['mask'].update(
                source='https://x/y.png'
            ),
            'must be an embedded',
        ),
    ],
)
def test_damaged_reports_are_refused(change, message):
    content = json.loads(full().to_json())
    change(content)
    with pytest.raises(ValueError, match=message):
        Report.from_json(content)


@pytest.mark.parametrize(
    'source',
    ['', 'x.png', 'data:image/svg+xml;base64,AAAA', PIXEL + '" onload="x', 'data:,x'],
)
def test_panels_are_embedded_pictures(source):
    Panel(PIXEL, 'fine')
    with pytest.raises(ValueError, match='must be an embedded'):
        Panel(source, '')


def test_fine_bins_are_left_out():
    one = helper.entry(number=2)
    assert 'narrow' not in one.result['images']
    assert one.images.fine is None and len(one.images) == 2
    assert one.named('B', 'x').images is one.images
