"""losses of mmaslp."""
