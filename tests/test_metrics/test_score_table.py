import numpy as np
import pytest
import torch

from tests.test_metrics.pixels import filled


@pytest.mark.parametrize('edge', [0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9])
def test_edges_belong_to_the_bin_below_for_every_type(edge):
    # 0.55 shares a bin with 0.6 or 0.4 (confidence 0.6), not with 0.7
    for dtype in (torch.float32, torch.float64):
        prob = torch.tensor([edge, edge], dtype=dtype)
        table = filled(prob, torch.tensor([0, 1])).pixels().score_table()
        assert len(table.score) == 1
        assert table.score[0] * 10 % table.unit == 0


@pytest.mark.parametrize('bits', [8, 16])
def test_every_map_value_is_a_point(bits):
    values = np.arange(2**bits, dtype=np.float32) / np.float32(2**bits - 1)
    scores = (
        filled(values, np.zeros(len(values), np.uint8)).pixels().score_table('positive')
    )
    expected = np.arange(2**bits) * (scores.unit // (2**bits - 1))
    assert np.array_equal(scores.score, expected)
