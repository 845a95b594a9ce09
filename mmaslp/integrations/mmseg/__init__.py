"""MMSegmentation: everything lies where MMSegmentation would put it."""

from ... import register_components

# First of all, in whatever order parts are imported: the first import of a registry of
# MMSegmentation registers all of them.
register_components()
