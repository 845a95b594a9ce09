import pytest
import torch

from mmaslp.hosts.mmseg.config import (
    check_checkpoint,
    load_config,
)


@pytest.mark.parametrize(
    'imports', ["'mmaslp'", "['mmaslp']", "dict(imports=['mmaslp'])"]
)
def test_imports_in_any_form(tmp_path, imports):
    path = tmp_path / 'config.py'
    path.write_text(f'custom_imports = {imports}\nmodel = dict(depth=1)\n')
    cfg = load_config(str(path), {'model.depth': 2})
    assert cfg.custom_imports == dict(imports=['mmaslp'])
    assert cfg.model.depth == 2
    with pytest.raises(ImportError, match='nowhere'):
        load_config(str(path), {'custom_imports': ['nowhere']})
    with pytest.raises(FileNotFoundError, match='no config at'):
        load_config(str(tmp_path / 'other.py'))


def test_whole_checkpoints_pass(tmp_path):
    torch.save({'a': torch.zeros(3)}, tmp_path / 'new.pth')
    torch.save({}, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    for path in (tmp_path / 'new.pth', tmp_path / 'old.pth', tmp_path):
        check_checkpoint(str(path))
    check_checkpoint('torchvision://resnet50')


@pytest.mark.parametrize(
    ('damage', 'reason'),
    [
        (lambda data: b'', 'it is empty'),
        (lambda data: b'<html>', 'it is not a torch checkpoint'),
        (lambda data: data[: len(data) // 2], 'it is cut short'),
        (lambda data: data.replace(b'\x07' * 64, b'\x08' * 64), 'fails its checksum'),
    ],
)
def test_damaged_checkpoints(tmp_path, damage, reason):
    torch.save({'a': torch.full((99,), 7, dtype=torch.uint8)}, tmp_path / 'a.pth')
    data = (tmp_path / 'a.pth').read_bytes()
    (tmp_path / 'b.pth').write_bytes(damage(data))
    path = str(tmp_path / 'b.pth')
    with pytest.raises(ValueError, match=rf'\(.*{reason}.*beside it is .*a.pth'):
        check_checkpoint(path)
    (tmp_path / 'a.pth').unlink()
    with pytest.raises(ValueError, match='no whole one beside it'):
        check_checkpoint(path)
    with pytest.raises(FileNotFoundError, match='no checkpoint at'):
        check_checkpoint(str(tmp_path / 'a.pth'))
