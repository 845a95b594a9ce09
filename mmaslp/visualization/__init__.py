"""visualization of mmaslp."""
