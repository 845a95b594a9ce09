"""core of mmaslp."""
