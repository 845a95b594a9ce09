"""One evaluator, its result, and the files of results."""
