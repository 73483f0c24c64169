"""The front ends that stand on spectra: one specification, two evaluations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from earnest.frontends._base import FrontEnd
from earnest.frontends._framing import Framing
from earnest.frontends._spectrum import FactoredSpectrum, Spectrum


class SpectralFrontEnd(FrontEnd):
    """Spectrum, projection, and a tail of whatever follows.

    Parameters
    ----------
    config : a dataclass that is a `FrameConfig`.
    sample_rate : in Hz.
    framing : the config's framing at this sample rate.
    projection : (bins, bands) matrix on the power spectrum, or None.
    tail : module on (batch, frames, bands), shared by both evaluations.
    bands : what the tail gives.
    energy : give the tail each frame's energy as one more band.
    """

    framing: Framing

    def __init__(
        self,
        config: Any,
        sample_rate: int,
        framing: Framing,
        projection: np.ndarray | None,
        tail: nn.Module,
        bands: int,
        energy: bool = False,
    ) -> None:
        super().__init__(config, sample_rate)
        self.framing = framing
        self.bands = bands
        self.min_samples = framing.min_samples
        self._parts = (config, framing, projection, energy)
        self.spectrum = Spectrum(*self._parts)
        self.tail = tail

    def frames_for(self, samples: int) -> int:
        """How many frames come out of `samples` samples."""
        return self.framing.frames_for(samples)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Features of audio in -1…1, always in single precision; (batch, samples) → (batch, frames, bands).

        Raises
        ------
        DataError : the audio is not (batch, samples) floats, or shorter than `min_samples`.
        """
        self.check(audio)
        with torch.autocast(audio.device.type, enabled=False):
            features: torch.Tensor = self.tail(self.spectrum(audio.float()))
        return features

    def for_export(self) -> nn.Module:
        """The same numbers by matrix products, with dynamic batch and dynamic samples."""
        exported = nn.Sequential(FactoredSpectrum(*self._parts), self.tail)
        return exported.to(self.spectrum.window.device).eval()
