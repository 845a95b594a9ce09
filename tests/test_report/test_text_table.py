from mmaslp.report.text_table import format_table, with_mean


def test_text_table():
    rows = {'a': {'ece': 0.1, 'nll': float('nan')}, 'b': {'ece': 0.3, 'nll': None}}
    lines = format_table(with_mean(rows), ['ece', 'nll']).splitlines()
    assert [line.split() for line in lines] == [
        ['ece', 'nll'],
        ['a', '0.1000', '-'],
        ['b', '0.3000', '-'],
        ['mean', '0.2000', '-'],
    ]
    assert with_mean({'a': {'ece': 1.0}}) == {'a': {'ece': 1.0}}


def test_sets_without_objects_stay_out_of_the_mean():
    rows = {'a': {'ece': 1.0}, 'ood': {'ece': 9.0}, 'b': {'ece': 3.0}}
    table = with_mean(rows, apart=['ood'])
    assert list(table) == ['a', 'b', 'mean', 'ood']
    assert table['mean'] == {'ece': 2.0}
