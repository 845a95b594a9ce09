"""At home in other libraries; each module needs the library of its name.

:mod:`~mmaslp.integrations.torchmetrics` measures calibration as metrics of
TorchMetrics, :mod:`~mmaslp.integrations.lightning` runs the learner in a training of
Lightning, :mod:`~mmaslp.integrations.pairs` reads images and masks for the examples.
None of them needs a host.
"""
