"""Clip-level statistics of another front end: one row of numbers per clip, for estimators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from earnest.errors import RecipeError
from earnest.frontends import FrontEnd as Base
from earnest.frontends import build
from earnest.frontends._framing import Framing
from earnest.recipe import Part

CEPSTRUM = Part(name="mfcc", options={"order": 3})
Functional = Literal["mean", "std", "min", "max", "slope"]
Percent = Annotated[float, Field(ge=0, le=100)]


@dataclass(frozen=True)
class Config:
    """Which statistics of which front end.

    Parameters
    ----------
    of : the front end that is summed up; one with frames (not `waveform`).
    functionals : of each band over the whole clip, in this order: `mean`, `std` (population), `min`, `max`, and `slope`
        (of the least-squares line, per clip length: its rise from the first frame to the last).
    percentiles : further values of each band, in percent, linearly interpolated.
    bins : cut the clip into so many parts of equal length and add each part's mean and standard deviation; 1: none.
    change : also the mean absolute change from one frame to the next, of each band.
    skip_padding : leave out the frames before the first and after the last sample that is not exactly zero, so that a
        clip padded with zeros keeps (nearly) its own statistics.
    """

    of: Part = CEPSTRUM
    functionals: tuple[Functional, ...] = ("mean", "std", "min", "max", "slope")
    percentiles: tuple[Percent, ...] = (10.0, 50.0, 90.0)
    bins: Annotated[int, Field(ge=1)] = 3
    change: bool = False
    skip_padding: bool = True

    @property
    def per_band(self) -> int:
        """How many numbers each band of the inner front end gives."""
        binned = 2 * self.bins if self.bins > 1 else 0
        return len(self.functionals) + len(self.percentiles) + binned + int(self.change)


class Summary(nn.Module):
    """Features (batch, frames, bands) and the weight 0 or 1 of each frame (batch, frames) → (batch, 1, dims)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Statistics side by side: each statistic's bands stand together."""
        config = self.config
        count = weight.sum(dim=1, keepdim=True)
        # 0, 1, 2 … count - 1 on the frames that count.
        rank = ((weight.cumsum(dim=1) - 1).clamp_min(0) * weight).detach()
        mean, std = _moments(features, weight)
        low, high = features.amin(dim=1, keepdim=True), features.amax(dim=1, keepdim=True)
        column = weight.unsqueeze(-1)
        parts = []
        for name in config.functionals:
            if name == "mean":
                parts.append(mean)
            elif name == "std":
                parts.append(std)
            elif name == "min":
                parts.append((features * column + high * (1 - column)).amin(dim=1))
            elif name == "max":
                parts.append((features * column + low * (1 - column)).amax(dim=1))
            else:
                parts.append(_rise(features, weight, rank, count))
        if config.percentiles:
            ordered = torch.sort(features * column + (high + 1) * (1 - column), dim=1).values
            parts += [_percentile(ordered, count, percent) for percent in config.percentiles]
        if config.bins > 1:
            place = torch.floor(rank * config.bins / count)
            for part in range(config.bins):
                parts += _moments(features, weight * (place == part))
        if config.change:
            both = (weight[:, 1:] * weight[:, :-1]).unsqueeze(-1)
            steps = (features[:, 1:] - features[:, :-1]).abs() * both
            parts.append(steps.sum(dim=1) / both.sum(dim=1).clamp_min(1))
        return torch.cat(parts, dim=-1).unsqueeze(1)


def _moments(features: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted mean and standard deviation over frames, each (batch, bands); zeros where no frame counts."""
    column = weight.unsqueeze(-1)
    total = column.sum(dim=1).clamp_min(1)
    mean = (features * column).sum(dim=1) / total
    variance = ((features - mean.unsqueeze(1)).square() * column).sum(dim=1) / total
    return mean, variance.clamp_min(1e-20).sqrt()


def _rise(features: torch.Tensor, weight: torch.Tensor, rank: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """Least-squares slope over a clip whose time runs from -1/2 to 1/2; (batch, bands)."""
    time = (rank / (count - 1).clamp_min(1) - 0.5) * weight
    time = (time - time.sum(dim=1, keepdim=True) / count) * weight
    return (features * time.unsqueeze(-1)).sum(dim=1) / time.square().sum(dim=1, keepdim=True).clamp_min(1e-6)


def _percentile(ordered: torch.Tensor, count: torch.Tensor, percent: float) -> torch.Tensor:
    """The value at percent / 100 × (count - 1) of ascending frames, between two of them by their distance."""
    index = torch.ones_like(ordered[:1, :, 0]).cumsum(dim=1) - 1
    near = (1 - (index - percent / 100 * (count - 1)).abs()).clamp_min(0)
    return (ordered * near.unsqueeze(-1)).sum(dim=1)


class Activity(nn.Module):
    """Which frames lie between the first and the last sample that is not exactly zero; (batch, frames) of 0 and 1."""

    def __init__(self, framing: Framing, skip_padding: bool) -> None:
        super().__init__()
        self.framing, self.skip_padding = framing, skip_padding

    def forward(self, audio: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """All frames count where the whole clip is zero."""
        everything = torch.ones_like(features[..., 0])
        if not self.skip_padding:
            return everything
        framing = self.framing
        sounding = (audio != 0).to(audio.dtype)
        index = torch.ones_like(sounding).cumsum(dim=1) - 1
        last = (sounding * index).amax(dim=1, keepdim=True)
        first = -(-index * sounding - 1e9 * (1 - sounding)).amax(dim=1, keepdim=True)
        start = (everything.cumsum(dim=1) - 1) * framing.hop - framing.left
        inside = (start <= last) & (start + framing.window > first)
        silent = 1 - sounding.amax(dim=1, keepdim=True)
        return torch.maximum(inside.to(audio.dtype), silent * everything)


class Described(nn.Module):
    """An inner front end, its activity and its summary, in either evaluation."""

    def __init__(self, inner: nn.Module, activity: Activity, summary: Summary) -> None:
        super().__init__()
        self.inner, self.activity, self.summary = inner, activity, summary

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """(batch, samples) → (batch, 1, dims)."""
        features = self.inner(audio)
        described: torch.Tensor = self.summary(features, self.activity(audio, features))
        return described


class FrontEnd(Base):
    """(batch, samples) → (batch, 1, dims): statistics of another front end's bands over the clip.

    Raises
    ------
    RecipeError : `of` is unknown or has no frames, or no statistic is asked for.
    """

    def __init__(self, config: Config, sample_rate: int) -> None:
        super().__init__(config, sample_rate)
        inner = build(config.of, sample_rate)
        if inner.framing is None:
            raise RecipeError(
                f"statistics of {config.of.name!r} cannot be taken: it has no spectral frames.",
                "Choose of: spectrogram, log_mel, fbank, mfcc, or a stack of them.",
            )
        if config.per_band == 0:
            raise RecipeError("statistics: no statistic is asked for.", "Example: functionals: [mean, std]")
        self.inner = inner
        self.bands = inner.bands * config.per_band
        self.min_samples = inner.min_samples
        self.described = Described(inner, Activity(inner.framing, config.skip_padding), Summary(config))

    def frames_for(self, samples: int) -> int:
        """Always one."""
        return 1

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Statistics of each clip; (batch, samples) → (batch, 1, dims).

        Raises
        ------
        DataError : the audio is not (batch, samples) floats, or shorter than `min_samples`.
        """
        self.check(audio)
        with torch.autocast(audio.device.type, enabled=False):
            features: torch.Tensor = self.described(audio.float())
        return features

    def for_export(self) -> nn.Module:
        """The same numbers on the inner front end's export form, with dynamic batch and dynamic samples."""
        return Described(self.inner.for_export(), self.described.activity, self.described.summary).eval()
