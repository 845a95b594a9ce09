import tempfile

import pytest

from mmaslp.evaluation.results import load_result


def test_result_files_of_others_are_refused():
    with tempfile.TemporaryDirectory() as folder:
        path = f'{folder}/x.json'
        with pytest.raises(ValueError, match='cannot be read'):
            load_result(path)
        for text in ('{', '[]', '{"images": {}}'):
            with open(path, 'w') as file:
                file.write(text)
            with pytest.raises(ValueError, match='no result file of mmaslp'):
                load_result(path)
