"""MMSegmentation: the only room that imports mm* packages."""
