"""Mel-frequency cepstral coefficients, alone (order 1), with Δ (order 2), or with Δ and ΔΔ (order 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from earnest.errors import RecipeError
from earnest.frontends import log_mel
from earnest.frontends._compression import Compression, Differences, cosine_matrix, lifter_weights
from earnest.frontends._framing import Count, Framing, NotNegative
from earnest.frontends._mel import mel_filters
from earnest.frontends._spectral import SpectralFrontEnd

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # librosa.feature.mfcc(y=y, sr=sr), librosa.feature.delta(mfcc, order=1 and 2)
    "librosa": {**log_mel.PRESETS["librosa"], "n_mfcc": 20, "difference": "savgol", "lifter_offset": 1},
    # torchaudio.transforms.MFCC(sr), one clip at a time; torchaudio.functional.compute_deltas
    "torchaudio": {**log_mel.PRESETS["torchaudio"], "n_mfcc": 40, "difference_width": 5},
    # compute-mfcc-feats --dither=0 with Kaldi's defaults
    "kaldi": {**log_mel.PRESETS["kaldi"], "n_mfcc": 13, "lifter": 22.0, "energy": True, "difference_width": 5},
}


@dataclass(frozen=True)
class Config(log_mel.Config):
    """The numbers of cepstral coefficients; see `log_mel.Config` for the log-mel part and the differences.

    Parameters
    ----------
    n_mfcc : coefficients kept, from 0 on (orthonormal DCT-II of the log-mel bands).
    lifter : L in 1 + L / 2 × sin(π (n + lifter_offset) / L); 0 leaves the coefficients as they are.
    lifter_offset : 0 in Kaldi and HTK, 1 in librosa.
    energy : put the frame's log energy in the place of coefficient 0 (Kaldi).
    """

    bands: Count = 40
    n_mfcc: Count = 20
    lifter: NotNegative = 0.0
    lifter_offset: Literal[0, 1] = 0
    energy: bool = False


class Cepstrum(nn.Module):
    """Mel energies (batch, frames, bands, and one more where energy is used) → (batch, frames, order × n_mfcc)."""

    matrix: torch.Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.compression = Compression(config)
        matrix = cosine_matrix(config.bands, config.n_mfcc)
        matrix = matrix * lifter_weights(config.n_mfcc, config.lifter, config.lifter_offset)
        self.register_buffer("matrix", torch.from_numpy(matrix).float(), persistent=False)
        self.differences = Differences(config.order, config.difference_width, config.difference)

    def forward(self, energies: torch.Tensor) -> torch.Tensor:
        """Compression, cosine transform, lifter, differences."""
        bands = self.config.bands
        static = self.compression(energies[..., :bands]) @ self.matrix
        if self.config.energy:
            energy = torch.log(energies[..., bands:].clamp_min(self.config.floor))
            static = torch.cat([energy, static[..., 1:]], dim=-1)
        features: torch.Tensor = self.differences(static)
        return features


class FrontEnd(SpectralFrontEnd):
    """(batch, samples) → (batch, frames, order × n_mfcc): static coefficients first, then Δ, then ΔΔ.

    Raises
    ------
    RecipeError : more coefficients than bands, an even width, or numbers that do not fit this sample rate.
    """

    def __init__(self, config: Config, sample_rate: int) -> None:
        if config.n_mfcc > config.bands:
            raise RecipeError(
                f"{config.n_mfcc} coefficients (n_mfcc) cannot come out of {config.bands} mel bands (bands).",
                f"Set n_mfcc to at most {config.bands}, or bands to at least {config.n_mfcc}.",
            )
        framing = Framing.of(config, sample_rate)
        shortest = config.fewest_samples(framing)
        filters = mel_filters(config, sample_rate, framing.n_fft)
        bands = config.order * config.n_mfcc
        super().__init__(config, sample_rate, framing, filters, Cepstrum(config), bands, energy=config.energy)
        self.min_samples = shortest
