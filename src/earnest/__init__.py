"""Earnest, an honest audio lab: from recordings to a model whose score can be trusted, and that runs anywhere with it."""

__version__ = "0.1.0"
