"""metrics of mmaslp."""
