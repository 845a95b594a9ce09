"""datasets of mmaslp."""
