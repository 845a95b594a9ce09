"""What a rule needs of the validation."""

import pytest

from mmaslp.hosts.mmseg.checks.validation import (
    Metric,
    metric_of,
    no_accuracy,
    no_validation,
)
from mmaslp.hosts.mmseg.metrics import CalibrationMetric, SODMetric


class Derived(CalibrationMetric):
    """Registered by nobody."""


@pytest.mark.parametrize(
    ('part', 'metric', 'gives'),
    [
        (Derived(), Metric('Derived', ('top_label', 'raw')), True),
        (
            CalibrationMetric(mode='positive'),
            Metric('CalibrationMetric', ('positive', 'raw')),
            False,
        ),
        (SODMetric(), Metric('SODMetric'), False),
    ],
)
def test_metrics_of_a_config_and_built_ones(part, metric, gives):
    assert metric_of(part) == metric and metric.gives_accuracy is gives
    assert (no_accuracy([Metric('IoUMetric'), metric]) is None) is gives


def test_what_is_missing_is_named():
    assert no_validation([]) is None
    finding = no_validation(['val_dataloader', 'val_cfg'])
    assert finding.message.endswith('there is no val_dataloader, val_cfg')
    assert 'val_evaluator' not in finding.remedy and "rule='fixed'" in finding.remedy
    finding = no_accuracy([Metric('A'), Metric('B', ('positive', 'raw'))])
    assert "['A', B(mode='positive', protocol='raw')] gives" in finding.message
