"""Results in, pages and diagrams out, without a host.

``reliability``, ``bands`` and ``gaps`` draw; ``analysis``, ``breakdowns`` and
``tables`` compute what a page shows; ``page`` writes it.
"""
