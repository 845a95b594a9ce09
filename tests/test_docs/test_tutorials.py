"""The tutorials: every block is run as it stands, on less data and for fewer epochs."""

import importlib.util
import re
from pathlib import Path

import pytest

from tests.scripts import run_script

ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / 'docs' / 'run_tutorials.py'
EPOCHS = 6  # enough for logits that are better than chance
CONFIG = [
    f'train_cfg.max_epochs={EPOCHS}',
    f'param_scheduler.0.end={EPOCHS}',
    *(f'{split}_dataloader.num_workers=0' for split in ('train', 'val', 'test')),
    *(
        f'{split}_dataloader.persistent_workers=False'
        for split in ('train', 'val', 'test')
    ),
]
# What is made shorter: each text must be on the page.
SHORT = {
    'pytorch': {
        'EPOCHS, VALIDATE_EVERY = 300, 20': 'EPOCHS, VALIDATE_EVERY = 12, 6',
        'make_images(200), make_images(200)': 'make_images(16), make_images(8)',
    },
    'report': {'SIZE, NUM_IMAGES = 64, 300': 'SIZE, NUM_IMAGES = 64, 8'},
    'your_data': {
        'dict(train=60, val=60, test=100)': 'dict(train=24, val=8, test=4)',
        'epoch_40.pth': f'epoch_{EPOCHS}.pth',
    },
}


@pytest.fixture(scope='module')
def tutorials():
    spec = importlib.util.spec_from_file_location('run_tutorials', RUNNER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_tutorial_is_run(tutorials):
    assert {path.stem for path in tutorials.PAGES.glob('*.md')} == {*SHORT}


@pytest.mark.release
@pytest.mark.parametrize('name', SHORT)
def test_tutorial(name, tutorials, tmp_path, monkeypatch):
    def command(line):
        what, *args = tutorials.arguments(line)
        if what in ('train', 'test', 'fit-temperature'):
            args += ['--cfg-options', *CONFIG]
        done = run_script(tutorials.script(what), *args)
        assert done.returncode == 0, f'{line}\n{done.stdout}{done.stderr}'
        return done.stdout

    monkeypatch.chdir(tmp_path)
    Path('configs').symlink_to(ROOT / 'configs')
    text = (tutorials.PAGES / f'{name}.md').read_text(encoding='utf-8')
    for whole, part in SHORT[name].items():
        assert whole in text
        text = text.replace(whole, part)
    renewed, _ = tutorials.run_page(text, command)
    assert not re.search(r'```text\n```', renewed), 'a command said nothing'
    for picture in tutorials.PICTURE.findall(text):
        assert [*tmp_path.rglob(Path(picture).name)], f'{picture} was not made'
