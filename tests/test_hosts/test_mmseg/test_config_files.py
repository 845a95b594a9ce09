import pytest

from mmaslp.hosts.mmseg.config_files import check_bases, config_folder, find_config


def test_configs_of_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = str(config_folder() / 'demo' / 'bce.py')
    assert find_config('demo/bce.py') == find_config('mmaslp::demo/bce.py') == own
    (tmp_path / 'demo').mkdir()
    (tmp_path / 'demo' / 'bce.py').touch()
    assert find_config('demo/bce.py') == 'demo/bce.py'
    assert find_config('mmaslp::demo/bce.py') == own
    for name in ('demo/bec.py', 'mmaslp::demo/bec.py'):
        with pytest.raises(FileNotFoundError, match=r'did you mean demo/bce\.py'):
            find_config(name)
    for name in ('mmaslp::../README.md', 'mmaslp::demo', 'mmaslp::'):
        with pytest.raises(FileNotFoundError, match='the package has no config'):
            find_config(name)


def test_bases_that_name_each_other(tmp_path):
    (tmp_path / 'b').mkdir()
    (tmp_path / 'a.py').write_text("_base_ = 'b/b.py'\n")
    (tmp_path / 'b' / 'b.py').write_text("_base_ = ['mmseg::x.py', '../c.py']\n")
    (tmp_path / 'c.py').write_text("x = 1\n_base_ = ['gone.py', 'a.py']\n")
    with pytest.raises(ValueError, match=r'\(a\.py -> b\.py -> c\.py -> a\.py\)'):
        check_bases(str(tmp_path / 'a.py'))
    (tmp_path / 'c.py').write_text('_base_ = [base]\n')
    check_bases(str(tmp_path / 'a.py'))
