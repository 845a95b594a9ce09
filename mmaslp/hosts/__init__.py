"""Adapters to training toolkits; each imports its own toolkit only."""
