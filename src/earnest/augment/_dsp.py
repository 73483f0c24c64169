"""The signal processing behind the waveform steps: pure functions of arrays."""

from __future__ import annotations

import numpy as np
import scipy.fft

SLOPES = {"white": 0.0, "pink": 0.5, "brown": 1.0}
"""Amplitude falls with frequency to this power: 0, 3 and 6 dB per octave."""

WINDOW_S = 0.030
SEARCH_S = 0.005
"""Overlap-add takes windows of 30 ms and looks 5 ms to both sides for the best fit: a pitch period down to 100 Hz."""


def coloured_noise(length: int, colour: str, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of about unit mean power; (length,) float32."""
    noise = rng.standard_normal(length, dtype=np.float32)
    if SLOPES[colour] == 0 or length < 2:
        return noise
    padded = scipy.fft.next_fast_len(length, real=True)
    spectrum = scipy.fft.rfft(noise, padded)
    shape = np.zeros(len(spectrum), dtype=np.float32)
    shape[1:] = np.arange(1, len(spectrum), dtype=np.float32) ** np.float32(-SLOPES[colour])
    coloured = scipy.fft.irfft(spectrum * (shape / np.sqrt(np.mean(shape**2))), padded)[:length]
    return np.asarray(coloured, dtype=np.float32)


def convolve(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Full linear convolution by Fourier transforms in single precision; (samples + response - 1,)."""
    length = len(samples) + len(response) - 1
    padded = scipy.fft.next_fast_len(length, real=True)
    spectrum = scipy.fft.rfft(samples, padded) * scipy.fft.rfft(response, padded)
    return np.asarray(scipy.fft.irfft(spectrum, padded)[:length], dtype=np.float32)


def gain_curve(bins: int, decibels: np.ndarray) -> np.ndarray:
    """Gains over frequency bins 0…bins - 1: decibels[0] at the top, the next one an octave below, and so on."""
    octaves = np.log2((bins - 1) / np.maximum(np.arange(bins), 0.5)) if bins > 1 else np.zeros(bins)
    return np.asarray(10 ** (np.interp(octaves, np.arange(len(decibels)), decibels) / 20), dtype=np.float32)


def stretch(samples: np.ndarray, length: int, sample_rate: int) -> np.ndarray:
    """Change a clip's length and keep its pitch: waveform-similarity overlap-add.

    Windows half a window apart in the output are taken at the places in the input that belong there, shifted by up to
    `SEARCH_S` to where they best continue the window before (largest cross-correlation).

    Parameters
    ----------
    samples : (samples,) float32.
    length : samples wanted.
    sample_rate : in Hz.

    Returns
    -------
    (length,) float32.
    """
    hop = max(2, round(WINDOW_S * sample_rate / 2))
    search = round(SEARCH_S * sample_rate)
    if length == len(samples) or len(samples) < 2 * hop:
        return _fit(samples, length)
    window = (0.5 - 0.5 * np.cos(np.pi * np.arange(2 * hop) / hop)).astype(np.float32)
    steps = -(-length // hop) + 1
    ratio = len(samples) / length
    padded = np.pad(samples, (hop + search, 3 * hop + 2 * search))
    output = np.zeros((steps + 1) * hop, dtype=np.float32)
    place = search
    for step in range(steps):
        ideal = min(round(step * hop * ratio), len(samples)) + search
        if step:
            # The window before would go on one hop later.
            target = padded[place + hop : place + 2 * hop]
            field = padded[ideal - search : ideal + search + hop]
            place = ideal - search + int(np.argmax(np.correlate(field, target, mode="valid")))
        else:
            place = ideal
        output[step * hop : step * hop + 2 * hop] += window * padded[place : place + 2 * hop]
    return output[hop : hop + length]


def _fit(samples: np.ndarray, length: int) -> np.ndarray:
    """Cut off, or zeros behind."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))
