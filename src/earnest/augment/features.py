"""Steps on features (frames, bands) and on batches of them: frozen dataclasses of numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from earnest.frontends import Features, per_channel

Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class SpecAugment:
    """Cover random stripes of bands and of frames with the clip's mean (Park et al. 2019, without time warping).

    Each stripe's width is drawn evenly from 0 to `frequency_width` bands or `time_width` frames, the latter no more
    than `time_fraction` of the clip.
    """

    frequency_masks: Annotated[int, Field(ge=0)] = 2
    frequency_width: Count = 8
    time_masks: Annotated[int, Field(ge=0)] = 2
    time_width: Count = 20
    time_fraction: Probability = 0.2
    probability: Probability = 1.0

    def __call__(self, features: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """(frames, bands) → (frames, bands)."""
        frames, bands = features.shape
        masked, mean = features.clone(), float(features.mean())
        for _ in range(self.frequency_masks):
            start, end = _stripe(bands, min(self.frequency_width, bands), rng)
            masked[:, start:end] = mean
        for _ in range(self.time_masks):
            start, end = _stripe(frames, min(self.time_width, int(self.time_fraction * frames)), rng)
            masked[start:end] = mean
        return masked


@dataclass(frozen=True)
class FrequencyWarp:
    """Stretch or squeeze the bands by a factor drawn from 1 - `most` … 1 + `most`: another length of vocal tract.

    Vocal tract length perturbation (Jaitly and Hinton 2013) on finished bands, linear between two of them, the last
    one repeated. Meant for spectrograms and mel bands, not for cepstra.
    """

    most: Annotated[float, Field(ge=0, lt=1)] = 0.1
    probability: Probability = 0.5

    def __call__(self, features: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """(frames, bands) → (frames, bands)."""
        bands = features.shape[1]
        place = (torch.arange(bands) * (1 + rng.uniform(-self.most, self.most))).clamp(max=bands - 1)
        below = place.floor().long()
        part = (place - below).to(features.dtype)
        above = (below + 1).clamp(max=bands - 1)
        return features[:, below] * (1 - part) + features[:, above] * part


@dataclass(frozen=True)
class Mixup:
    """Blend each clip with another of its batch, and their targets alike (Zhang et al. 2018).

    The share of the clip itself is max(λ, 1 - λ), λ ~ Beta(`alpha`, `alpha`), drawn for each clip with `probability`.
    A clip keeps its length; a shorter partner is repeated.
    """

    alpha: Positive = 0.2
    probability: Probability = 1.0

    def draw(self, batch: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Each clip's partner (batch,) and its own share (batch,) in 0.5…1."""
        partner = torch.from_numpy(rng.permutation(batch))
        drawn = rng.beta(self.alpha, self.alpha, batch)
        drawn = np.where(rng.random(batch) < self.probability, np.maximum(drawn, 1 - drawn), 1.0)
        return partner, torch.from_numpy(drawn.astype(np.float32))

    def __call__(
        self, features: Features, lengths: Features, rng: np.random.Generator
    ) -> tuple[Features, torch.Tensor, torch.Tensor]:
        """(batch, frames, bands) → the blend, each clip's partner (batch,), and its own share (batch,) in 0.5…1.

        Several channels are blended alike: one partner and one share for all channels of a clip.
        """
        several = isinstance(features, tuple)
        partner, share = self.draw(len(features[0] if several else features), rng)
        return per_channel(partial(_blend, partner=partner, share=share), features, lengths), partner, share


def _blend(features: torch.Tensor, lengths: torch.Tensor, partner: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Each clip of (batch, frames, bands) with its partner, which is repeated where it is shorter."""
    frames = features.shape[1]
    place = torch.arange(frames) % lengths[partner].clamp_min(1).unsqueeze(1)
    others = features[partner.unsqueeze(1), place]
    valid = (torch.arange(frames) < lengths.unsqueeze(1)).unsqueeze(-1)
    mixed = torch.lerp(others, features, share.view(-1, 1, 1))
    return torch.where(valid, mixed, features)


FeatureStep = SpecAugment | FrequencyWarp


def _stripe(length: int, most: int, rng: np.random.Generator) -> tuple[int, int]:
    """Start and end of a random stripe at most `most` wide."""
    width = int(rng.integers(0, most + 1))
    start = int(rng.integers(0, length - width + 1))
    return start, start + width
