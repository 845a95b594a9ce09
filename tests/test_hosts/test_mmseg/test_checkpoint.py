import pickle

import pytest
import torch
from mmengine.logging import HistoryBuffer

import mmaslp  # noqa: F401  (admits the class)
from mmaslp.hosts.mmseg.checkpoint import allow_history_buffers


class Foreign:
    """Rebuilt by a function that no checkpoint may call."""

    def __reduce__(self):
        return print, ('run',)


def test_the_log_of_a_run_is_read(tmp_path):
    allow_history_buffers()  # twice does no harm
    buffer = HistoryBuffer([1.0, 3.0], [1, 1])
    torch.save({'loss': buffer}, tmp_path / 'x.pth')
    read = torch.load(tmp_path / 'x.pth', weights_only=True)['loss']
    assert read.mean() == 2 and read.current() == 3 and read.max() == 3


@pytest.mark.skipif(
    torch.torch_version.TorchVersion(torch.__version__) < '2.6',
    reason='older versions are left as they are',
)
def test_other_code_is_refused(tmp_path):
    torch.save({'x': Foreign()}, tmp_path / 'x.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'x.pth', weights_only=True)
