"""utils of mmaslp."""
