"""What speech is mixed with and how it sounds: noises of several kinds, rooms, and narrow bands.

    recording │ two recordings │ chords ─► noise ─ another colour ─► beside the speech, over a faint hiss

Recordings are real; chords are made of tones, and rooms are measured ones or noise that dies away
(`earnest.augment.waveforms.ImpulseResponse`). There is no babble among the noises: it is speech, whoever speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earnest import audio
from earnest.augment.waveforms import Equalise, ImpulseResponse, Noise, Speed

PLAIN, TWO = 0.6, 0.85  # shares below which noise is one recording, or two; above, chords
ROOMLESS, MEASURED = 0.35, 0.6  # shares below which there is no room, or a measured one; above, one of noise
NARROW = 0.15
HISS_DB = (20.0, 50.0)  # so far below the mixture
TWO_TALKERS = 0.3


@dataclass(frozen=True)
class Scene:
    """Where a mixture takes place.

    Attributes
    ----------
    sample_rate : in Hz.
    rooms : folder of impulse responses, or None.
    """

    sample_rate: int
    rooms: Path | None = None

    def voice(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A recording of another pitch and speed."""
        return Speed(0.85, 1.15)(clip, rng, self.sample_rate)

    def room(self, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray] | None:
        """What makes speech sound as in a room, or None for none."""
        kind = rng.uniform()
        if kind < ROOMLESS:
            return None
        step = ImpulseResponse(self.rooms if kind < MEASURED else None, max_decay_s=0.8)
        return lambda sound: step(sound, rng, self.sample_rate)

    def noise(self, recording: Callable[[], np.ndarray], samples: int, rng: np.random.Generator) -> np.ndarray:
        """So many samples of noise, from what draws a recording of it."""
        kind = rng.uniform()
        if kind < TWO:
            parts = [recording() for _ in range(1 if kind < PLAIN else 2)]
        else:
            parts = [chords(samples, self.sample_rate, rng)]
        return Equalise(9.0)(_together(parts, samples, rng), rng, self.sample_rate)

    def finish(self, sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A mixture as a device records it: with a faint hiss, coloured, some of them through a telephone's band."""
        if sound.any():
            sound = Noise(None, "any", *HISS_DB)(sound, rng, self.sample_rate)
        sound = Equalise(6.0)(sound, rng, self.sample_rate)
        if rng.uniform() < NARROW and self.sample_rate > 8_000:
            narrow = audio.resample(sound, self.sample_rate, 8_000)
            wide = audio.resample(narrow, 8_000, self.sample_rate)
            sound = np.pad(wide, (0, max(0, len(sound) - len(wide))))[: len(sound)]
        finished: np.ndarray = np.clip(sound, -1, 1).astype(np.float32)
        return finished


def chords(samples: int, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Something like music: chords of tones with overtones, one after the other, (samples,) float32."""
    sound = np.zeros(samples, np.float32)
    at = 0
    while at < samples:
        length = min(round(rng.uniform(0.15, 0.8) * sample_rate), samples - at)
        time = np.arange(length, dtype=np.float32) / sample_rate
        fade = np.exp(-time * np.float32(rng.uniform(0.5, 6.0)))
        for note in rng.integers(40, 80, size=int(rng.integers(1, 5))):
            pitch_hz = 440 * 2 ** ((int(note) - 69) / 12)
            for overtone in range(1, 6):
                if overtone * pitch_hz < sample_rate / 2:
                    tone = np.sin(np.float32(2 * np.pi * overtone * pitch_hz) * time + np.float32(rng.uniform(0, 6)))
                    sound[at : at + length] += fade * tone / overtone
        at += length
    return sound


def _together(parts: Sequence[np.ndarray], samples: int, rng: np.random.Generator) -> np.ndarray:
    """Recordings on top of each other at equal power, each from a random place on and repeated."""
    total = np.zeros(samples, np.float32)
    for part in parts:
        if len(part) and part.any():
            start = int(rng.integers(len(part)))
            total += part[(start + np.arange(samples)) % len(part)] / np.float32(np.sqrt(np.mean(part**2)))
    return total
