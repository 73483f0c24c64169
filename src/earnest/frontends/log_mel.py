"""Log-mel spectrogram: energies in bands that are spaced like hearing; alone, with Δ, or with Δ and ΔΔ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from earnest.frontends._compression import Compression, DifferenceConfig, Differences, LogConfig
from earnest.frontends._framing import FrameConfig, Framing
from earnest.frontends._mel import MelConfig, mel_filters
from earnest.frontends._spectral import SpectralFrontEnd

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=sr))
    "librosa": {
        "window_samples": 2048,
        "hop_samples": 512,
        "n_fft": 2048,
        "pad": "constant",
        "bands": 128,
        "mel_scale": "slaney",
        "mel_norm": "slaney",
        "log": "db",
        "floor": 1e-10,
        "floor_mode": "clamp",
        "top_db": 80.0,
    },
    # AmplitudeToDB("power", 80)(torchaudio.transforms.MelSpectrogram(sr)(y)), one clip at a time
    "torchaudio": {
        "window_samples": 400,
        "hop_samples": 200,
        "n_fft": 400,
        "bands": 128,
        "log": "db",
        "floor": 1e-10,
        "floor_mode": "clamp",
        "top_db": 80.0,
    },
    # compute-fbank-feats --dither=0 with Kaldi's defaults
    "kaldi": {
        "pad": "none",
        "window": "povey",
        "periodic": False,
        "pre_emphasis": 0.97,
        "remove_dc": True,
        "scale": 32768.0,
        "bands": 23,
        "f_min": 20.0,
        "mel_shape": "mel",
        "floor": 1.1920928955078125e-07,
        "floor_mode": "clamp",
    },
    # whisper.audio.log_mel_spectrogram at 16 kHz, without its padding to 30 s
    "whisper": {
        "window_samples": 400,
        "hop_samples": 160,
        "n_fft": 400,
        "drop_last": True,
        "bands": 80,
        "mel_scale": "slaney",
        "mel_norm": "slaney",
        "log": "log10",
        "floor": 1e-10,
        "floor_mode": "clamp",
        "top_db": 80.0,
        "offset": 4.0,
        "factor": 0.25,
    },
}


@dataclass(frozen=True)
class Config(DifferenceConfig, LogConfig, MelConfig, FrameConfig):
    """A log-mel spectrogram's numbers.

    `FrameConfig`, `MelConfig`, `LogConfig` and `DifferenceConfig` say what each means.
    """


class FrontEnd(SpectralFrontEnd):
    """(batch, samples) → (batch, frames, order × bands): static bands first, then Δ, then ΔΔ.

    Raises
    ------
    RecipeError : the numbers do not fit together at this sample rate, or an even width.
    """

    def __init__(self, config: Config, sample_rate: int) -> None:
        framing = Framing.of(config, sample_rate)
        shortest = config.fewest_samples(framing)
        filters = mel_filters(config, sample_rate, framing.n_fft)
        tail: nn.Module = Compression(config)
        if config.order > 1:
            tail = nn.Sequential(tail, Differences(config.order, config.difference_width, config.difference))
        super().__init__(config, sample_rate, framing, filters, tail, config.order * config.bands)
        self.min_samples = shortest
