"""transforms of mmaslp."""
