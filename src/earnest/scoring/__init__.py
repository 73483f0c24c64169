"""Scores: metrics as pure functions, intervals by resampling groups, paired tests, comparison tables. NumPy only."""
