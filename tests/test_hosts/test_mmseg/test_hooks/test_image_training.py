import re

import pytest

from mmaslp.hosts.mmseg.hooks.image_training import start_level


@pytest.mark.parametrize(
    ('alpha', 'of_losses', 'learns', 'level', 'words'),
    [
        (None, [0.0, 0.0], True, 0.0, None),
        (0.2, [0.0], True, 0.2, None),
        (None, [0.3, 0.3], False, 0.3, None),
        (None, [0.1], True, 0.0, 'has the level 0.1 .* every image starts with 0:'),
        (0.2, [0.0, 0.1], False, 0.2, 'has the level 0.1 .* starts with 0.2:'),
        (None, [0.0], False, 0.0, 'with the level 0 perturbs no label'),
    ],
)
def test_the_level_of_the_start(alpha, of_losses, learns, level, words):
    found, warnings = start_level(alpha, of_losses, learns)
    assert found == level and len(warnings) == (words is not None)
    assert not words or re.search(words, warnings[0])
    with pytest.raises(ValueError, match=r'levels alpha \[0.1, 0.2\]: give ASLPHook'):
        start_level(None, [0.1, 0.2], learns=False)
