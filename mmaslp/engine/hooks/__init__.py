"""hooks of mmaslp."""
