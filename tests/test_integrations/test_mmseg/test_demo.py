import pytest

from mmaslp.commands import demo
from mmaslp.commands.arguments import CommandParser


def run(folder, *words):
    parser = CommandParser()
    demo.add_arguments(parser)
    parser.add_argument('--quiet', action='store_true')
    demo.run(parser.parse_args(['--work-dir', str(folder), *words]))


@pytest.mark.parametrize(
    'name', ['report.html', 'review.csv', 'test/masks/a.png', 'bce/maps/00.png']
)
def test_a_file_that_is_there_stays(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('mine')
    with pytest.raises(FileExistsError, match=path.name):
        run(tmp_path)
    assert path.read_text() == 'mine'
    assert [file for file in tmp_path.rglob('*') if file.is_file()] == [path]


@pytest.mark.parametrize('words', [('--epochs', '0'), ('--seed', '-1')])
def test_an_option_is_refused_before_the_training(tmp_path, words):
    with pytest.raises(ValueError, match=words[0]):
        run(tmp_path, *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.release
def test_a_training_that_fails_ends_the_demo(tmp_path):
    (tmp_path / 'aslp_image_band' / 'train.log').mkdir(parents=True)
    with pytest.raises(IsADirectoryError, match='aslp_image_band'):
        run(tmp_path)
    assert not list(tmp_path.rglob('*.pth'))


@pytest.mark.release
def test_the_demo(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tmp_path / 'demo', '--epochs', '20', '--seed', '1')
    printed = capfd.readouterr().out
    rows = [line for line in printed.splitlines() if line.startswith(('BCE', 'levels'))]
    assert len(rows) >= 4
    assert 'BCE with its calibrator' in printed
    for name in (
        'report.html',
        'review.html',
        'review.csv',
        'aslp_image_band/train.log',
    ):
        assert (tmp_path / 'demo' / name).stat().st_size > 1000
    assert len(list((tmp_path / 'demo' / 'bce' / 'maps').iterdir())) == 32
