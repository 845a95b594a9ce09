"""Labels that mean something else."""

import pytest
import torch

from mmaslp import BandTable, CalibrationHistogram, SelfCalibratingBCE


def test_labels_of_minus_1_in_eight_bits_are_not_ignored():
    prob = torch.rand(2, 8, 8)
    label = torch.where(prob > 0.5, 1, -1).to(torch.int8)
    for count in (
        lambda: CalibrationHistogram().update(prob, label),
        lambda: CalibrationHistogram().update(prob, label.numpy()),
        lambda: BandTable().update(prob, label),
        lambda: SelfCalibratingBCE()(prob, label),
    ):
        with pytest.raises(ValueError, match='-1'):
            count()
    counter = CalibrationHistogram()
    counter.update(prob, label, ignore_index=-1)
    assert counter.compute()['count'] == (prob > 0.5).sum()
