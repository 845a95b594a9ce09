import torch
from mmengine.logging import HistoryBuffer

import mmaslp  # noqa: F401  (admits the class)
from mmaslp.hosts.mmseg.checkpoint import allow_history_buffers


def test_the_log_of_a_run_is_read(tmp_path):
    allow_history_buffers()  # twice does no harm
    buffer = HistoryBuffer([1.0, 3.0], [1, 1])
    torch.save({'loss': buffer}, tmp_path / 'x.pth')
    read = torch.load(tmp_path / 'x.pth', weights_only=True)['loss']
    assert read.mean() == 2 and read.current() == 3 and read.max() == 3
