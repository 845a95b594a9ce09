"""MMSegmentation: everything lies where MMSegmentation would put it."""
