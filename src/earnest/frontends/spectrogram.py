"""Spectrogram: one band per frequency bin, linear or logarithmic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from earnest.frontends._compression import Compression, LogConfig
from earnest.frontends._framing import FrameConfig, Framing
from earnest.frontends._spectral import SpectralFrontEnd

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # abs(librosa.stft(y)) ** 2
    "librosa": {"window_samples": 2048, "hop_samples": 512, "n_fft": 2048, "pad": "constant", "log": "none"},
    # torchaudio.transforms.Spectrogram()
    "torchaudio": {"window_samples": 400, "hop_samples": 200, "n_fft": 400, "pad": "reflect", "log": "none"},
}


@dataclass(frozen=True)
class Config(LogConfig, FrameConfig):
    """A spectrogram's numbers; see `FrameConfig` and `LogConfig` for what each means."""


class FrontEnd(SpectralFrontEnd):
    """(batch, samples) → (batch, frames, n_fft // 2 + 1), bin k at k × sample_rate / n_fft Hz.

    Raises
    ------
    RecipeError : the numbers do not fit together at this sample rate.
    """

    def __init__(self, config: Config, sample_rate: int) -> None:
        framing = Framing.of(config, sample_rate)
        super().__init__(config, sample_rate, framing, None, Compression(config), framing.n_fft // 2 + 1)
