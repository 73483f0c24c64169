"""Mel filter banks as matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from earnest.errors import RecipeError
from earnest.frontends._framing import Count, NotNegative, Positive

MelScale = Literal["slaney", "htk"]
MelShape = Literal["hz", "mel"]

# Slaney's scale is linear up to 1000 Hz (3 mel per 200 Hz) and logarithmic above (27 mel per factor of 6.4).
LINEAR_HZ_PER_MEL = 200 / 3
BREAK_HZ = 1000.0
LOG_STEP = np.log(6.4) / 27


@dataclass(frozen=True)
class MelConfig:
    """Which mel bands are taken.

    Parameters
    ----------
    bands : number of mel bands.
    f_min, f_max : outer edges of the first and the last band, in Hz; default of `f_max`: half the sample rate.
    mel_scale : `htk` is 2595 log10(1 + f / 700); `slaney` is linear to 1 kHz, then logarithmic (Auditory Toolbox).
    mel_shape : triangles that are straight over Hz (librosa, torchaudio) or over mel (Kaldi).
    mel_norm : `slaney` divides each triangle by half its width in Hz; None leaves its peak at 1.
    """

    bands: Count = 64
    f_min: NotNegative = 0.0
    f_max: Positive | None = None
    mel_scale: MelScale = "htk"
    mel_shape: MelShape = "hz"
    mel_norm: Literal["slaney"] | None = None


def hz_to_mel(hz: np.ndarray | float, scale: MelScale) -> np.ndarray:
    """Frequencies in Hz as mel."""
    hz = np.asarray(hz, dtype=np.float64)
    if scale == "htk":
        return np.asarray(2595 * np.log10(1 + hz / 700))
    linear = hz / LINEAR_HZ_PER_MEL
    logarithmic = BREAK_HZ / LINEAR_HZ_PER_MEL + np.log(np.maximum(hz, BREAK_HZ) / BREAK_HZ) / LOG_STEP
    return np.where(hz < BREAK_HZ, linear, logarithmic)


def mel_to_hz(mel: np.ndarray | float, scale: MelScale) -> np.ndarray:
    """Mel as frequencies in Hz."""
    mel = np.asarray(mel, dtype=np.float64)
    if scale == "htk":
        return np.asarray(700 * (10 ** (mel / 2595) - 1))
    break_mel = BREAK_HZ / LINEAR_HZ_PER_MEL
    return np.where(mel < break_mel, mel * LINEAR_HZ_PER_MEL, BREAK_HZ * np.exp(LOG_STEP * (mel - break_mel)))


def mel_filters(config: MelConfig, sample_rate: int, n_fft: int) -> np.ndarray:
    """The filter bank as a (n_fft // 2 + 1, bands) float64 matrix.

    A band narrower than the distance of two bins may catch none of them; its column is zero.

    Raises
    ------
    RecipeError : the edges are not 0 ≤ f_min < f_max ≤ sample_rate / 2.
    """
    nyquist = sample_rate / 2
    f_max = nyquist if config.f_max is None else config.f_max
    if not config.f_min < f_max <= nyquist:
        raise RecipeError(
            f"mel bands from {config.f_min:g} to {f_max:g} Hz do not fit a sample rate of {sample_rate} Hz.",
            f"Choose f_min < f_max, and f_max at most {nyquist:g} Hz (half the sample rate).",
        )
    low, high = hz_to_mel(config.f_min, config.mel_scale), hz_to_mel(f_max, config.mel_scale)
    edges_mel = np.linspace(low, high, config.bands + 2)
    edges_hz = mel_to_hz(edges_mel, config.mel_scale)
    bins_hz = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    if config.mel_shape == "hz":
        edges, bins = edges_hz, bins_hz
    else:
        edges, bins = edges_mel, hz_to_mel(bins_hz, config.mel_scale)
    rising = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    filters = np.clip(np.minimum(rising, falling), 0, None)
    if config.mel_norm == "slaney":
        filters = filters * (2 / (edges_hz[2:] - edges_hz[:-2]))
    return np.asarray(filters)
