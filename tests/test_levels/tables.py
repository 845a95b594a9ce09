"""Tables of a validation whose figures a test writes down."""

import math

from mmaslp.metrics import BandTable

SHARES = [0.02, 0.07, 0.15, 0.2, 0.56]


class Table(BandTable):
    """What BandLevels read of a BandTable."""

    ignored = 0
    one_class = False
    count = 100

    def __init__(self, gaps, **figures):
        super().__init__()
        self.figures = dict(
            gaps=list(gaps),
            shares=SHARES,
            accuracies=[math.nan] * 5,
            iou=0.7,
            iou_se=0.01,
            acc=0.9,
            acc_se=0.01,
            recall=0.8,
            num_images=20,
        )
        self.figures.update(figures)

    def compute(self):
        return self.figures
