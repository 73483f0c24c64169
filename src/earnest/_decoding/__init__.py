"""The decoders behind `earnest.audio`, which is the only door to them.

A file that libsndfile recognises but cannot decode is not tried again with PyAV: ffmpeg conceals damage, and half a
recording would pass for a whole one.
"""
