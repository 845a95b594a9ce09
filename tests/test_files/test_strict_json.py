import json

import pytest

from mmaslp.files.strict_json import strict_json


def test_what_is_not_finite_becomes_null():
    value = {'a': float('nan'), 'b': [(1.5, float('inf'))], 'c': 'NaN'}
    text = strict_json(value)
    assert text == '{"a":null,"b":[[1.5,null]],"c":"NaN"}'
    assert json.loads(strict_json(value, indent=1)) == json.loads(text)
    with pytest.raises(TypeError):
        strict_json({'a': object()})
