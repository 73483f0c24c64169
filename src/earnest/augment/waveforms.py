"""Steps on waveforms: frozen dataclasses of numbers that map (samples,) float32 to (samples,) float32."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import scipy.fft
import soxr
from pydantic import Field

from earnest.augment._dsp import coloured_noise, convolve, gain_curve, stretch
from earnest.augment._recordings import Recordings
from earnest.errors import RecipeError

Probability = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class TimeShift:
    """Move the clip by up to `max_s` seconds either way; zeros fill the gap, and what leaves the clip is lost."""

    max_s: NotNegative = 0.1
    probability: Probability = 1.0

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
        """(samples,) → (samples,)."""
        most = min(len(waveform), round(self.max_s * sample_rate))
        shift = int(rng.integers(-most, most + 1))
        shifted = np.zeros_like(waveform)
        if shift >= 0:
            shifted[shift:] = waveform[: len(waveform) - shift]
        else:
            shifted[:shift] = waveform[-shift:]
        return shifted


@dataclass(frozen=True)
class Gain:
    """Make the clip louder or softer, by decibels drawn evenly from a range."""

    min_db: float = -6.0
    max_db: float = 6.0
    probability: Probability = 1.0

    def __post_init__(self) -> None:
        _ordered("gain", "min_db", self.min_db, "max_db", self.max_db)

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
        """(samples,) → (samples,)."""
        return waveform * np.float32(10 ** (rng.uniform(self.min_db, self.max_db) / 20))


@dataclass(frozen=True)
class Noise:
    """Add noise at a signal-to-noise ratio (of mean powers over the clip) drawn evenly from a range of decibels.

    With `folder`, a piece of one of its recordings (all subfolders; up to the first minute of each; repeated where it
    is shorter than the clip); without, noise of a `colour`. A silent clip, or a silent piece of noise, changes nothing.
    """

    folder: Path | None = None
    colour: Literal["white", "pink", "brown", "any"] = "any"
    min_snr_db: float = 5.0
    max_snr_db: float = 30.0
    probability: Probability = 0.5

    def __post_init__(self) -> None:
        _ordered("noise", "min_snr_db", self.min_snr_db, "max_snr_db", self.max_snr_db)

    @cached_property
    def recordings(self) -> Recordings | None:
        """What the folder holds, or None where coloured noise is made."""
        return None if self.folder is None else Recordings(self.folder, "noise")

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
        """(samples,) → (samples,)."""
        snr_db = rng.uniform(self.min_snr_db, self.max_snr_db)
        if self.recordings is not None:
            noise = self.recordings.piece(len(waveform), rng, sample_rate)
        else:
            drawn = rng.choice(["white", "pink", "brown"])
            noise = coloured_noise(len(waveform), drawn if self.colour == "any" else self.colour, rng)
        power, noise_power = _power(waveform), _power(noise)
        if power == 0 or noise_power == 0:
            return waveform
        return waveform + noise * np.float32(np.sqrt(power / noise_power * 10 ** (-snr_db / 10)))


@dataclass(frozen=True)
class ImpulseResponse:
    """Let the clip sound in a room, without moving it in time or changing its mean power.

    With `folder`, one of its impulse responses, from its highest peak on (all subfolders; up to two seconds); without,
    a simple made room: the direct sound, then white noise that decays by 60 dB in `min_decay_s`…`max_decay_s`, with
    a direct-to-reverberant ratio of `min_direct_db`…`max_direct_db`.
    """

    folder: Path | None = None
    min_decay_s: Positive = 0.1
    max_decay_s: Positive = 0.6
    min_direct_db: float = 0.0
    max_direct_db: float = 12.0
    probability: Probability = 0.3

    def __post_init__(self) -> None:
        _ordered("impulse_response", "min_decay_s", self.min_decay_s, "max_decay_s", self.max_decay_s)
        _ordered("impulse_response", "min_direct_db", self.min_direct_db, "max_direct_db", self.max_direct_db)

    @cached_property
    def recordings(self) -> Recordings | None:
        """What the folder holds, or None where rooms are made."""
        return None if self.folder is None else Recordings(self.folder, "impulse response")

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
        """(samples,) → (samples,)."""
        if self.recordings is None:
            response = self._room(rng, sample_rate)
        else:
            response = self.recordings.whole(rng, sample_rate)
            response = response[int(np.abs(response).argmax()) :][: 2 * sample_rate]
        wet = convolve(waveform, response)[: len(waveform)]
        power, wet_power = _power(waveform), _power(wet)
        return wet * np.float32(np.sqrt(power / wet_power)) if wet_power > 0 else waveform

    def _room(self, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
        decay = max(2, round(rng.uniform(self.min_decay_s, self.max_decay_s) * sample_rate))
        direct_db = rng.uniform(self.min_direct_db, self.max_direct_db)
        tail = rng.standard_normal(decay, dtype=np.float32)
        tail *= np.exp(np.arange(decay, dtype=np.float32) * np.float32(-np.log(1000) / decay))
        tail *= np.float32(10 ** (-direct_db / 20)) / np.linalg.norm(tail)
        tail[0] = 1.0
        return tail


@dataclass(frozen=True)
class Speed:
    """Play the clip faster or slower, by a factor drawn evenly from a range; changes both pitch and length."""

    min: Positive = 0.9
    max: Positive = 1.1
    probability: Probability = 0.5

    def __post_init__(self) -> None:
        _ordered("speed", "min", self.min, "max", self.max)

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
        """(samples,) → (about samples / factor,)."""
        return _resampled(waveform, rng.uniform(self.min, self.max))


@dataclass(frozen=True)
class Pitch:
    """Raise or lower the pitch by semitones drawn evenly from a range, and keep the length.

    Resampling changes pitch and length, then waveform-similarity overlap-add brings the length back (Verhelst and
    Roelands 1993). Formants move with the pitch.
    """

    min_semitones: Annotated[float, Field(ge=-24, le=24)] = -2.0
    max_semitones: Annotated[float, Field(ge=-24, le=24)] = 2.0
    probability: Probability = 0.5

    def __post_init__(self) -> None:
        _ordered("pitch", "min_semitones", self.min_semitones, "max_semitones", self.max_semitones)

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
        """(samples,) → (samples,)."""
        factor = 2 ** (rng.uniform(self.min_semitones, self.max_semitones) / 12)
        return stretch(_resampled(waveform, factor), len(waveform), sample_rate)


@dataclass(frozen=True)
class Equalise:
    """Another microphone: a smooth random gain over frequency, within ±`max_db` at `points` places an octave apart.

    The places go down from half the sample rate; below the lowest, its gain holds.
    """

    max_db: NotNegative = 6.0
    points: Annotated[int, Field(ge=2)] = 7
    probability: Probability = 0.5

    def __call__(self, waveform: np.ndarray, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
        """(samples,) → (samples,)."""
        length = scipy.fft.next_fast_len(len(waveform), real=True)
        gains = gain_curve(length // 2 + 1, rng.uniform(-self.max_db, self.max_db, self.points))
        spectrum = scipy.fft.rfft(waveform, length) * gains
        return np.asarray(scipy.fft.irfft(spectrum, length)[: len(waveform)], dtype=np.float32)


WaveformStep = TimeShift | Gain | Noise | ImpulseResponse | Speed | Pitch | Equalise


def _ordered(step: str, low_name: str, low: float, high_name: str, high: float) -> None:
    if low > high:
        raise RecipeError(
            f"augmentation {step}: {low_name} is {low:g}, above {high_name}, which is {high:g}.",
            f"Exchange them, or give a {high_name} that is no less than {low_name}.",
        )


def _power(samples: np.ndarray) -> float:
    return float(np.dot(samples, samples)) / max(1, len(samples))


def _resampled(waveform: np.ndarray, factor: float) -> np.ndarray:
    """A waveform played `factor` times as fast."""
    if len(waveform) < 2 or round(len(waveform) / factor) < 1:
        return waveform
    return np.asarray(soxr.resample(waveform, factor, 1.0, quality="HQ"), dtype=np.float32)
