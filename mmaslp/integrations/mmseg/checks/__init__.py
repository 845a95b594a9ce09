"""Checks of an environment, of a config and of a runner, and their messages."""
