"""Results in, pages and diagrams out, without MMSegmentation.

``diagrams`` draws; ``analysis`` and ``tables`` compute what a page
shows; ``page`` writes it.
"""
