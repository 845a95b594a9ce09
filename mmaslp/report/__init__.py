"""Results in, pages and diagrams out, without a host.

``diagrams`` draws; ``analysis``, ``breakdowns`` and ``tables`` compute what a page
shows; ``page`` writes it.
"""
