"""Several front ends on the same audio, each a channel of its own, for models that fuse them.

    frontend: [{name: mfcc, n_mfcc: 40}, waveform]

Unlike a `stack`, channels may differ in everything: features, frames and bands are tuples, in the order given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from earnest.errors import RecipeError
from earnest.frontends import Features, build
from earnest.frontends import FrontEnd as Base
from earnest.recipe import Part

SPECTRUM = Part(
    name="spectrogram",
    options={"window_ms": 40.0, "hop_ms": 10.0, "n_fft": 800, "window": "hamming", "drop_last": True},
)
CEPSTRUM = Part(name="mfcc", options={"n_mfcc": 40, "bands": 64, "hop_ms": 10.0, "drop_last": True})
RAW = Part(name="waveform")


@dataclass(frozen=True)
class Config:
    """Which front ends are the channels.

    Parameters
    ----------
    of : two or more front ends; the default is what `coattention` takes at 16 kHz: a logarithmic spectrogram of 40 ms
        Hamming windows, 40 cepstral coefficients, and the samples.
    """

    of: Annotated[tuple[Part, ...], Field(min_length=2)] = (SPECTRUM, CEPSTRUM, RAW)


class Together(nn.Module):
    """Several modules on the same audio."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, audio: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(batch, samples) → each channel's (batch, frames, bands)."""
        return tuple(part(audio) for part in self.parts)


class FrontEnd(Base):
    """(batch, samples) → a tuple of (batch, frames, bands), one for each channel.

    Attributes
    ----------
    bands : a tuple, one for each channel; `frames_for` gives a tuple likewise.

    Raises
    ------
    RecipeError : a front end is unknown, or has channels itself.
    """

    bands: tuple[int, ...]  # type: ignore[assignment]

    def __init__(self, config: Config, sample_rate: int) -> None:
        super().__init__(config, sample_rate)
        parts = [build(part, sample_rate) for part in config.of]
        if any(isinstance(part, FrontEnd) for part in parts):
            raise RecipeError("channels: a channel cannot have channels itself.", "Name all channels in one list.")
        self.together = Together(parts)
        self.bands = tuple(part.bands for part in parts)
        self.min_samples = max(part.min_samples for part in parts)
        self.exportable = all(part.exportable for part in parts)
        self.worth_keeping = all(part.worth_keeping for part in parts)
        self.spectral = [part.framing is not None for part in parts]

    def frames_for(self, samples: int) -> tuple[int, ...]:  # type: ignore[override]
        """How many frames come out of `samples` samples in each channel."""
        return tuple(part.frames_for(samples) for part in self.together.parts)  # type: ignore[operator]

    def forward(self, audio: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Features of each channel; (batch, samples) → a tuple of (batch, frames, bands).

        Raises
        ------
        DataError : the audio is not (batch, samples) floats, or shorter than `min_samples`.
        """
        self.check(audio)
        features: tuple[torch.Tensor, ...] = self.together(audio)
        return features

    def for_export(self) -> nn.Module:
        """The same numbers on the export forms, with dynamic batch and dynamic samples."""
        return Together([part.for_export() for part in self.together.parts]).eval()  # type: ignore[operator]

    def vary(self, features: Features, change: Callable[[torch.Tensor], torch.Tensor]) -> Features:
        """The change on each channel with spectral frames, one after the other; samples and clip values stay."""
        channels = zip(features, self.spectral, strict=True)
        return tuple(change(channel) if spectral else channel for channel, spectral in channels)
