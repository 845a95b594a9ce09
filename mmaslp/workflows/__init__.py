"""What commands, hooks and Python share: measure, fit, apply, review, prepare."""
