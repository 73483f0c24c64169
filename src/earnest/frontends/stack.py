"""Several front ends with the same frames, their bands side by side in one tensor: `fbank+mfcc` and the like.

    frontend: {name: stack, of: [fbank, {name: mfcc, n_mfcc: 13, order: 3}]}

The first one says how the audio is cut into frames, and the others follow it, so that frame t is the same piece of
audio in all of them. What a later one says itself about its frames counts, as long as the number of frames is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from earnest.errors import RecipeError
from earnest.frontends import FrontEnd as Base
from earnest.frontends import build, resolve
from earnest.frontends._framing import FrameConfig
from earnest.recipe import Part

FRAMES = ("window_ms", "hop_ms", "window_samples", "hop_samples", "n_fft", "pad", "drop_last")
"""Options of `FrameConfig` that say where frames lie; its others say what is done with the samples inside."""


@dataclass(frozen=True)
class Config:
    """Which front ends stand side by side.

    Parameters
    ----------
    of : two or more front ends with frames (`spectrogram`, `log_mel`, `fbank`, `mfcc`), in the order of their bands.
    """

    of: Annotated[tuple[Part, ...], Field(min_length=2)] = (Part(name="fbank"), Part(name="mfcc"))


class SideBySide(nn.Module):
    """Several modules on the same audio, their bands joined."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """(batch, samples) → (batch, frames, all bands)."""
        return torch.cat([part(audio) for part in self.parts], dim=-1)


class FrontEnd(Base):
    """(batch, samples) → (batch, frames, bands of the first, then of the second, …).

    Raises
    ------
    RecipeError : a front end is unknown or has no frames, or their numbers of frames differ.
    """

    def __init__(self, config: Config, sample_rate: int) -> None:
        super().__init__(config, sample_rate)
        first = build(config.of[0], sample_rate)
        parts = [first, *(build(following(part, first.config), sample_rate) for part in config.of[1:])]
        for part, named in zip(parts, config.of, strict=True):
            _check_frames(first, part, named.name)
        self.framing = first.framing
        self.bands = sum(part.bands for part in parts)
        self.min_samples = max(part.min_samples for part in parts)
        self.joined = SideBySide(parts)

    def frames_for(self, samples: int) -> int:
        """How many frames come out of `samples` samples."""
        return 0 if self.framing is None else self.framing.frames_for(samples)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Features side by side; (batch, samples) → (batch, frames, bands).

        Raises
        ------
        DataError : the audio is not (batch, samples) floats, or shorter than `min_samples`.
        """
        self.check(audio)
        features: torch.Tensor = self.joined(audio)
        return features

    def for_export(self) -> nn.Module:
        """The same numbers on the export forms, with dynamic batch and dynamic samples."""
        return SideBySide([part.for_export() for part in self.joined.parts]).eval()  # type: ignore[operator]


def following(part: Part, first: object) -> Part:
    """A part with the frames of the first one, except where it gives its own."""
    if not (isinstance(first, FrameConfig) and isinstance(resolve(part), FrameConfig)):
        return part
    frames = {name: getattr(first, name) for name in FRAMES}
    for length in ("window", "hop"):
        if f"{length}_ms" in part.options:
            frames.pop(f"{length}_samples")  # which would count instead
    return Part(name=part.name, options={**frames, **part.options})


def _check_frames(first: Base, part: Base, name: str) -> None:
    """Every front end of a stack has as many frames as the first, whatever the length of the audio.

    Raises
    ------
    RecipeError : it has no frames, or another number of them.
    """
    if part.framing is None or first.framing is None:
        raise RecipeError(f"stack: {name!r} has no spectral frames.", "Choose of spectrogram, log_mel, fbank and mfcc.")
    mine, its = first.framing, part.framing
    if (mine.hop, mine.left + mine.right - mine.window) != (its.hop, its.left + its.right - its.window):
        second = part.sample_rate
        raise RecipeError(
            f"stack: {name!r} gives {its.frames_for(second)} frames per second of audio (one every {its.hop} samples), "
            f"and the first front end gives {mine.frames_for(second)} (one every {mine.hop}).",
            "Leave the frames (window, hop, pad, drop_last) to the first front end, or give all of them the same.",
        )
