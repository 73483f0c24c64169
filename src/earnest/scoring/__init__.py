"""Metrics, intervals, paired tests and comparison tables as pure NumPy functions."""
