from mmaslp.utils.names import nearest


def test_nearest():
    assert nearest('trian', ['test', 'train']) == '; did you mean train?'
    assert nearest('xyz', ['test', 'train']) == ''
