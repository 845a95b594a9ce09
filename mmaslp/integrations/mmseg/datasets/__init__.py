"""Registered data sets and transforms."""
