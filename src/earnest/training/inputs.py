"""How a waveform of any length becomes model inputs: the same rule in training, scoring, prediction and streaming.

Lengths are in samples. `short` says what happens to a clip shorter than the window: `pad` puts it in the middle of
silence, `keep` leaves its length (silence is added only up to the front end's smallest input).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from earnest.audio import window_starts
from earnest.recipe import Clips


@dataclass(frozen=True)
class Inputs:
    """The numbers of the rule.

    Attributes
    ----------
    window : samples a model sees at once.
    hop : samples between the starts of two windows over a longer recording.
    short : `pad` or `keep`.
    smallest : the fewest samples the front end takes.
    """

    window: int
    hop: int
    short: Literal["pad", "keep"]
    smallest: int

    @classmethod
    def of(cls, clips: Clips, sample_rate: int, smallest: int) -> Inputs:
        """The recipe's seconds as samples."""
        window = max(round(clips.window_s * sample_rate), smallest)
        return cls(window, max(round(clips.hop * sample_rate), 1), clips.short, smallest)

    def fit(self, waveform: np.ndarray) -> np.ndarray:
        """A waveform no longer than the window, padded by the rule."""
        missing = (self.window if self.short == "pad" else self.smallest) - len(waveform)
        if missing <= 0:
            return waveform
        front = missing // 2 if self.short == "pad" else 0
        return np.pad(waveform, (front, missing - front))

    def crop(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One input for training: a random window of a longer clip, a shorter clip padded."""
        if len(waveform) <= self.window:
            return self.fit(waveform)
        start = int(rng.integers(len(waveform) - self.window + 1))
        return waveform[start : start + self.window]

    def starts(self, samples: int) -> list[int]:
        """Where the inputs of `windows` begin in a clip of so many samples; below 0 where silence goes before it."""
        if samples > self.window:
            return window_starts(samples, self.window, self.hop)
        return [-(max(0, self.window - samples) // 2) if self.short == "pad" else 0]

    def windows(self, waveform: np.ndarray) -> list[np.ndarray]:
        """Every input that covers a clip, for scoring; their probabilities are averaged."""
        if len(waveform) <= self.window:
            return [self.fit(waveform)]
        starts = window_starts(len(waveform), self.window, self.hop)
        return [waveform[start : start + self.window] for start in starts]
