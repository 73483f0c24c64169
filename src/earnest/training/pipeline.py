"""Front end → normaliser → model, as one module: what is trained, scored and exported is the same thing.

audio (batch, samples) ─ frontend ─► (batch, frames, bands) ─ normaliser ─► same ─ model ─► (batch, outputs)

With several front ends, what lies between is a tuple, one tensor for each channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from earnest import models
from earnest.frontends import Features, FrontEnd, Size
from earnest.recipe import Recipe
from earnest.training.inputs import Inputs


class Moments:
    """Mean and deviation of each band over any number of clips, summed in float64."""

    def __init__(self, bands: int) -> None:
        self.count = 0
        self.total = torch.zeros(bands, dtype=torch.float64)
        self.squares = torch.zeros_like(self.total)

    def add(self, clip: torch.Tensor) -> None:
        """Count one clip's (frames, bands)."""
        exact = clip.double()
        self.count += len(exact)
        self.total += exact.sum(0)
        self.squares += exact.square().sum(0)

    def mean_and_deviation(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Both (bands,) float64; a deviation below 1e-5 is given as 1."""
        mean = self.total / max(self.count, 1)
        deviation = (self.squares / max(self.count, 1) - mean.square()).clamp_min(0).sqrt()
        return mean, torch.where(deviation < 1e-5, torch.ones_like(deviation), deviation)


class Normaliser(nn.Module):
    """Shift and scale each band by the mean and deviation of the training rows.

    Deviations below 1e-5 (bands that never change) are taken as 1.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(bands))
        self.register_buffer("deviation", torch.ones(bands))

    def fit(self, features: Iterable[Any]) -> None:
        """Measure mean and deviation over (frames, bands) features, in float64."""
        moments = Moments(len(self.mean))
        for clip in features:
            moments.add(clip)
        self.take(moments)

    def take(self, moments: Moments) -> None:
        """Use what has been measured."""
        mean, deviation = moments.mean_and_deviation()
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) or (frames, bands), same out."""
        return (features - self.mean) / self.deviation


class ChannelNormaliser(nn.Module):
    """A normaliser for each channel."""

    def __init__(self, bands: Sequence[int]) -> None:
        super().__init__()
        self.channels = nn.ModuleList(Normaliser(width) for width in bands)

    def fit(self, features: Iterable[Any]) -> None:
        """Measure mean and deviation of each channel's (frames, bands), in one pass over the clips."""
        moments = [Moments(len(channel.mean)) for channel in self.channels]  # type: ignore[arg-type]
        for clip in features:
            for each, channel in zip(moments, clip, strict=True):
                each.add(channel)
        for each, normaliser in zip(moments, self.channels, strict=True):
            normaliser.take(each)  # type: ignore[operator]

    def forward(self, features: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Each channel's (batch, frames, bands), same out."""
        return tuple(normaliser(channel) for normaliser, channel in zip(self.channels, features, strict=True))


AnyNormaliser = Normaliser | ChannelNormaliser


def normaliser_for(bands: Size) -> AnyNormaliser:
    """A normaliser that is ready to be fitted, for one tensor or for several channels."""
    return ChannelNormaliser(bands) if isinstance(bands, tuple) else Normaliser(bands)


class Normalised(nn.Module):
    """Normaliser and model without the front end: features in, outputs out."""

    normaliser: AnyNormaliser
    model: nn.Module

    def __init__(self, normaliser: AnyNormaliser, model: nn.Module) -> None:
        super().__init__()
        self.normaliser = normaliser
        self.model = model

    def forward(self, features: Features, lengths: Features | None = None) -> torch.Tensor:
        """(batch, frames, bands), (batch,) → (batch, outputs)."""
        outputs: torch.Tensor = self.model(self.normaliser(features), lengths)
        return outputs


class Members(nn.Module):
    """Several models of one architecture whose outputs are averaged: one model to score and to export."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, features: Features, lengths: Features | None = None) -> torch.Tensor:
        """(batch, frames, bands) → (batch, outputs): the mean of the members' outputs."""
        return torch.stack([model(features, lengths) for model in self.models]).mean(0)


class Pipeline(nn.Module):
    """Raw audio in, outputs out."""

    def __init__(self, frontend: nn.Module, normaliser: nn.Module, model: nn.Module) -> None:
        super().__init__()
        self.frontend = frontend
        self.normaliser = normaliser
        self.model = model

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """(batch, samples) float32 → (batch, outputs); every sample counts as sound."""
        outputs: torch.Tensor = self.model(self.normaliser(self.frontend(audio)), None)
        return outputs

    def for_export(self) -> Pipeline:
        """The same numbers, with the front end in the form that exports."""
        return Pipeline(self.frontend.for_export(), self.normaliser, self.model).eval()  # type: ignore[operator]


def restore(
    recipe: Recipe, frontend: FrontEnd, inputs: Inputs, outputs: int, state: Mapping[str, torch.Tensor]
) -> nn.Module:
    """A trained model from its weights, in evaluation mode: a network, its members, or what an estimator fitted."""
    if models.is_estimator(recipe.model.name):
        return models.build_estimator(recipe.model, outputs).restore(state)
    frames = frontend.frames_for(inputs.window)
    members = [models.build(recipe.model, frames, frontend.bands, outputs) for _ in range(recipe.training.members)]
    model = members[0] if len(members) == 1 else Members(members)
    model.load_state_dict(state)
    return model.eval()
