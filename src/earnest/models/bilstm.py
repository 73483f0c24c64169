"""Bidirectional LSTM on cepstral frames: two layers of 2 × 256 units, pooled over time.

`lstm` in both directions, as the cepstral branch of H. Zou et al., arXiv:2203.15326, has it (there on 300 frames of 40
MFCC, flattened; here averaged over time, or weighted by attention, so that a clip may have any length). The direction
that runs back starts at each clip's own last frame.
"""

from __future__ import annotations

from earnest.models import Example, lstm

SHAPE = "clip"
FIXED_INPUT = False
EXAMPLE = Example(options={"hidden": 32})
Config = lstm.Config


class Model(lstm.Model):
    """MFCC frames to logits, for any number of frames and bands (`frames` is not needed)."""

    BIDIRECTIONAL = True
