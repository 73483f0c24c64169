"""Writes data/frontends.npz: what torchaudio and whisper give for a stored signal, from their documented formulas.

torchaudio and whisper are not imported. Each function below follows the definition in torchaudio 2.x's documentation
(Spectrogram, melscale_fbanks, AmplitudeToDB, create_dct, compute_deltas) or in whisper's `log_mel_spectrogram`, in
float64 NumPy, one frame at a time and without anything from Earnest. Run it as: python tests/golden/make_frontends.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SAMPLE_RATE = 16_000
TARGET = Path(__file__).parent / "data" / "frontends.npz"


def signal() -> np.ndarray:
    """One second as 16-bit integers: a rising voice-like tone, a pause with a little noise, a noise burst."""
    rng = np.random.default_rng(7)
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(110 + 60 * time) / SAMPLE_RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 30)) * (time < 0.6)
    burst = rng.standard_normal(SAMPLE_RATE) * (time > 0.75) * np.exp(-6 * (time - 0.75).clip(0))
    return np.round(32767 * (0.15 * voice + 0.2 * burst + 1e-3 * rng.standard_normal(SAMPLE_RATE))).astype(np.int16)


def frames_of(samples: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    padded = np.pad(samples, n_fft // 2, mode="reflect")
    window = 0.5 * (1 - np.cos(2 * np.pi * np.arange(n_fft) / n_fft))
    count = 1 + (len(padded) - n_fft) // hop
    return np.stack([window * padded[t * hop : t * hop + n_fft] for t in range(count)])


def power_spectrogram(samples: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """(frames, bins): |STFT|², window of n_fft samples, centred, reflected."""
    return np.abs(np.fft.rfft(frames_of(samples, n_fft, hop))) ** 2


def torchaudio_filters(n_freqs: int, n_mels: int) -> np.ndarray:
    """melscale_fbanks(n_freqs, 0, SAMPLE_RATE / 2, n_mels, SAMPLE_RATE, norm=None, mel_scale="htk")."""
    all_freqs = np.linspace(0, SAMPLE_RATE // 2, n_freqs)
    m_max = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    f_pts = 700 * (10 ** (np.linspace(0, m_max, n_mels + 2) / 2595) - 1)
    slopes = f_pts[None, :] - all_freqs[:, None]
    down = -slopes[:, :-2] / np.diff(f_pts)[:-1]
    up = slopes[:, 2:] / np.diff(f_pts)[1:]
    return np.maximum(0, np.minimum(down, up))


def amplitude_to_db(power: np.ndarray, top_db: float = 80) -> np.ndarray:
    decibels = 10 * np.log10(np.maximum(power, 1e-10))
    return np.maximum(decibels, decibels.max() - top_db)


def dct_ortho(n_mfcc: int, n_mels: int) -> np.ndarray:
    """create_dct(n_mfcc, n_mels, "ortho")."""
    matrix = np.cos(np.pi / n_mels * (np.arange(n_mels) + 0.5)[:, None] * np.arange(n_mfcc)[None, :])
    matrix[:, 0] *= 1 / np.sqrt(2)
    return matrix * np.sqrt(2 / n_mels)


def compute_deltas(values: np.ndarray, win_length: int = 5) -> np.ndarray:
    """compute_deltas over the first axis: Σ n (c[t + n] - c[t - n]) / (2 Σ n²), the ends repeated."""
    n = (win_length - 1) // 2
    padded = np.pad(values, ((n, n), (0, 0)), mode="edge")
    result = np.zeros_like(values)
    for t in range(len(values)):
        for k in range(1, n + 1):
            result[t] += k * (padded[t + n + k] - padded[t + n - k])
    return result / (2 * sum(k * k for k in range(1, n + 1)))


def slaney_filters(n_fft: int, n_mels: int) -> np.ndarray:
    """Whisper's filters: mel points on Slaney's scale, triangles in Hz divided by half their width."""

    def hz(mel: float) -> float:
        return 200 / 3 * mel if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    top = 15 + 27 * np.log(SAMPLE_RATE / 2 / 1000) / np.log(6.4)
    points = [hz(mel) for mel in np.linspace(0, top, n_mels + 2)]
    filters = np.zeros((n_fft // 2 + 1, n_mels))
    for band, (left, middle, right) in enumerate(zip(points, points[1:], points[2:], strict=False)):
        for index in range(n_fft // 2 + 1):
            freq = index * SAMPLE_RATE / n_fft
            height = min((freq - left) / (middle - left), (right - freq) / (right - middle))
            filters[index, band] = max(0.0, height) * 2 / (right - left)
    return filters


def whisper_log_mel(samples: np.ndarray) -> np.ndarray:
    mel = power_spectrogram(samples, 400, 160)[:-1] @ slaney_filters(400, 80)
    log = np.log10(np.maximum(mel, 1e-10))
    return (np.maximum(log, log.max() - 8) + 4) / 4


def main() -> None:
    stored = signal()
    samples = stored / 32768
    power = power_spectrogram(samples, 400, 200)
    log_mel = amplitude_to_db(power @ torchaudio_filters(201, 128))
    mfcc = log_mel @ dct_ortho(40, 128)
    delta = compute_deltas(mfcc)
    values = {
        "torchaudio_spectrogram": power,
        "torchaudio_log_mel": log_mel,
        "torchaudio_mfcc": np.concatenate([mfcc, delta, compute_deltas(delta)], axis=1),
        "whisper_log_mel": whisper_log_mel(samples),
    }
    floats = {name: value.astype(np.float32) for name, value in values.items()}
    np.savez_compressed(TARGET, samples=stored, **floats)


if __name__ == "__main__":
    main()
