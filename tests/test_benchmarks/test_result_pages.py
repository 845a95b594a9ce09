"""The script that writes the tables of the results page."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / 'benchmarks'


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    import pages

    return pages


@pytest.fixture
def table(pages, tmp_path):
    """The cells that a comment puts into a page."""

    def read(comment):
        page = f'before\n<!-- table: {comment} -->\nold\n<!-- end of table -->\nafter\n'
        filled = pages.fill(page, tmp_path).splitlines()
        assert filled[0] == 'before' and filled[-1] == 'after'
        assert filled[1] == f'<!-- table: {comment} -->'
        assert filled[-2] == '<!-- end of table -->'
        assert pages.fill('\n'.join(filled), tmp_path) == '\n'.join(filled)
        return [[cell.strip() for cell in row.split('|')[1:-1]] for row in filled[2:-2]]

    return read


def run(data, method, seed, scale, **intervals):
    """A record whose figures are ``scale`` and whose temperature halves them."""

    def sets(scale):
        keys = ('ece', 'ece_em', 'ece_band', 'nll', 'acc', 'mIoU %')
        keys += ('ece_band_true', 'brier')
        entry = dict(ood=False, figures=dict.fromkeys(keys, scale))
        return dict(
            val=entry,
            test=dict(entry, intervals=intervals),
            textures=dict(ood=True, figures=dict(ece=scale, nll=3 * scale)),
        )

    return dict(
        data=data,
        method=method,
        seed=seed,
        evaluations={'': sets(scale), '+ts': sets(scale / 2)},
    )


@pytest.fixture
def records(tmp_path):
    written = [
        run('b', 'bce', 0, 0.2, ece=[0.1, 0.3]),
        run('b', 'bce', 1, 0.4),
        run('a', 'bce', 0, 0.6),
        run('a', 'aslp_fb_border', 0, 0.3),
        run('b', 'aslp_fb_border', 0, 0.1),
        run('b', 'svls', 0, 0.5),
    ]
    (tmp_path / 'runs.json').write_text(json.dumps(written))


def test_the_page_has_the_tables_of_the_results(pages):
    text = pages.PAGE.read_text(encoding='utf-8')
    assert len(pages.TABLE.findall(text)) == text.count('<!-- end of table -->') > 10
    assert pages.fill(text, pages.RESULTS) == text, 'run benchmarks/pages.py'
    outside = pages.TABLE.sub('', text)
    assert not [line for line in outside.splitlines() if line.startswith('|')]


def test_figures_are_means_over_seeds_and_ours_stands_last(table, records):
    head, _, *rows = table('runs.json figures data=b')
    assert head[:4] == ['method', 'seeds', 'ECE', 'ECE-EM']
    assert head[-2:] == ['ECE, ood', 'NLL, ood']
    names = ['BCE', 'BCE, temperature', 'SVLS', 'SVLS, temperature']
    names += ['**ASLP-FB by band**', 'ASLP-FB by band, temperature']
    assert [row[0] for row in rows] == names
    assert rows[0][1:3] == ['2', '.3000 ± .1414'] and rows[0][-1] == '.9000 ± .4243'
    assert rows[4][1:3] == ['1', '.1000']


def test_several_sets_are_named_and_their_mean_is_of_shared_methods(table, records):
    rows = table('runs.json figures methods=bce,svls')[2:]
    assert [row[:3] for row in rows] == [
        ['a', 'BCE', '1'],
        ['b', 'BCE', '2'],
        ['b', 'SVLS', '1'],
    ]
    rows = table('runs.json figures data=mean')[2:]
    assert [row[:3] for row in rows][::2] == [
        ['BCE', '1', '.4000'],
        ['**ASLP-FB by band**', '1', '.2000'],
    ]


def test_ratios_are_of_the_seeds_that_both_have(table, records):
    head, _, *rows = table('runs.json ratios to=bce+ts data=b')
    errors = ['ECE band', 'ECE true band', 'ECE-EM', 'ECE']
    assert head == ['method', *errors, 'NLL', 'Brier', 'NLL, ood']
    found = {row[0]: row[1] for row in rows}
    assert found['BCE'] == '2.00'
    assert found['**ASLP-FB by band**'] == '1.00'  # .1 to .1, not to .15
    assert 'BCE, temperature' not in found


def test_intervals_stand_beside_the_figures_of_one_seed(table, records):
    rows = table('runs.json intervals data=b methods=bce')[2:]
    assert rows == [['b', 'BCE', '.2000 [.1000, .3000]', '-', '-', '-', '.2000', '0.2']]


def test_shift_has_clean_images_and_the_mean_of_severities_and_sets(table, tmp_path):
    keys = ('ece', 'ece_band', 'ece_em', 'nll', 'acc')
    for number, data in enumerate('ab'):
        rows = [
            dict(
                name='BCE',
                checkpoint='c',
                data=f'{data}/test/images',
                corruption='fog' if severity else 'none',
                severity=severity,
                figures=dict.fromkeys(keys, 0.1 * (severity + number)),
            )
            for severity in (0, 1, 3)
        ]
        (tmp_path / f'shift_{data}.json').write_text(json.dumps(rows))
    rows = table('shift_*.json shift')[2:]
    assert [row[:4] for row in rows] == [
        ['a', 'BCE', 'clean', '.0000'],
        ['a', 'BCE', 'corrupted', '.2000'],
        ['b', 'BCE', 'clean', '.1000'],
        ['b', 'BCE', 'corrupted', '.3000'],
        ['mean of the sets', 'BCE', 'corrupted', '.2500'],
    ]


def test_sampling_has_a_mean_for_sets_of_the_same_seeds(table, tmp_path):
    rows = [
        dict(
            table=name,
            method='bce',
            data=data,
            images=[4, 3],
            error=0.2,
            left=left,
            mean=0.05,
        )
        for name, data, left in (
            ('few', 'a', 0.1),
            ('few', 'a', 0.3),
            ('few', 'b', 0.4),
            ('few', 'b', 0.6),
            ('large', 'a', 0.5),
            ('large', 'b', 0.7),
            ('large', 'b', 0.7),
        )
    ]
    rows.append(dict(rows[0], method='aslp_fb'))
    (tmp_path / 'sampling.json').write_text(json.dumps(rows))
    found = table('sampling.json sampling')[2:]
    assert found.pop()[:2] == ['few', 'ASLP-FB']
    assert [row[2:5] + row[6:7] for row in found] == [
        ['a', '4, 3', '2', '.2000'],
        ['b', '4, 3', '2', '.5000'],
        ['mean of the sets', '', '', '.3500'],
        ['a', '4, 3', '1', '.5000'],
        ['b', '4, 3', '2', '.7000'],
    ]


@pytest.mark.parametrize(
    ('comment', 'message'),
    [
        ('runs.json numbers', 'no view numbers, there are figures, ratios'),
        ('other.json figures', '0 files of this name: <!-- table: other.json'),
        ('other*.json shift', 'no file of this name'),
        ('runs.json figures data=c', "'c': <!-- table: runs.json figures data=c -->"),
        ('runs.json figures methods=focal', 'no run of focal'),
        ('runs.json intervals seed=7', 'no run of any method with seed 7'),
        ('runs.json ratios to=focal', "'focal'"),
        ('runs.json ratios data=b', "missing 1 required .* 'to': <!-- table"),
        ('runs.json figures colour=red', "unexpected keyword .* 'colour': <!-- table"),
        ('runs.json figures methods=bce,foo', 'no run of foo: <!-- table'),
    ],
)
def test_a_comment_that_asks_for_what_is_not_there(table, records, comment, message):
    with pytest.raises(ValueError, match=message):
        table(comment)
