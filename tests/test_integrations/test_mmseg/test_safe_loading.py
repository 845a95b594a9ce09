import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from mmaslp.integrations.mmseg.checkpoint import (
    allow_history_buffers,
    load_safely,
    safe_loading,
)


def test_tensors_and_the_log_of_a_run_are_read(tmp_path):
    content = {'w': torch.arange(4.0), 'log': HistoryBuffer([1.0, 3.0], [1, 1])}
    torch.save(content, tmp_path / 'x.pth')
    allow_history_buffers()  # as `import mmaslp` does; twice does no harm
    for read in (
        load_safely(str(tmp_path / 'x.pth'), mmap=True),
        torch.load(tmp_path / 'x.pth', weights_only=True),
    ):
        assert torch.equal(read['w'], content['w'])
        assert read['log'].mean() == 2
        assert read['log'].max() == 3


def test_the_log_of_a_run_is_read_after_a_loader_has_taken_the_classes_back(tmp_path):
    torch.save({'log': HistoryBuffer([1.0], [1])}, tmp_path / 'x.pth')
    with torch.serialization.safe_globals(torch.serialization.get_safe_globals()):
        pass  # as OneDL's MMEngine does for each file
    assert load_safely(str(tmp_path / 'x.pth'))['log'].mean() == 1


def test_the_host_loads_safely_for_a_while(tmp_path):
    path = str(tmp_path / 'x.pth')
    torch.save({'x': print}, path)
    before = CheckpointLoader._get_checkpoint_loader(path)
    with safe_loading(), pytest.raises(ValueError, match='asks for print'):
        CheckpointLoader.load_checkpoint(path)
    with safe_loading(trust=True):
        assert CheckpointLoader.load_checkpoint(path) == {'x': print}
    with safe_loading(), pytest.raises(FileNotFoundError, match='no checkpoint at'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'y.pth'))
    assert CheckpointLoader._get_checkpoint_loader(path) is before
