"""segmentors of mmaslp."""
