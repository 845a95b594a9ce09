"""The report of one or several evaluations: one HTML file that needs no other file.

``document`` is what a report holds and its JSON, ``analysis`` computes what the page
shows, ``tables``, ``charts`` and ``gallery`` lay it out, ``page`` writes the HTML.
"""

from .document import Entry, Panel, Picture, Report, SourceFile
from .page import report_html

__all__ = ['Entry', 'Panel', 'Picture', 'Report', 'SourceFile', 'report_html']
