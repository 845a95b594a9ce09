"""Results in, pages and diagrams out, without MMSegmentation.

``diagrams`` and ``views`` draw, ``tables`` lays out numbers, ``page`` and
``review_page`` write.
"""
