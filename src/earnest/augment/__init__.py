"""Augmentation: the same clip, heard a little differently each epoch.

    augment: [{name: time_shift, max_s: 0.1}, {name: noise, folder: noises}, spec_augment, {name: mixup, alpha: 0.2}]

Each step is a frozen dataclass of numbers and a function: of a waveform (samples,), of features (frames, bands), or of
a batch (`mixup`). Steps are taken in the order of the recipe, each with its `probability`, waveforms before features
before batches. All chance comes from the generator handed in; `rng_for` makes it from (seed, epoch, row), so that what
happens to a clip depends neither on the other clips nor on who computes it. No step changes its input in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from earnest.augment.features import FeatureStep, FrequencyWarp, Mixup, SpecAugment
from earnest.augment.waveforms import (
    Equalise,
    Gain,
    ImpulseResponse,
    Noise,
    Pitch,
    Speed,
    TimeShift,
    WaveformStep,
)
from earnest.errors import RecipeError, did_you_mean
from earnest.frontends import Features
from earnest.recipe import Part, configure

__all__ = ["STEPS", "Augmentation", "build", "rng_for"]

STEPS: dict[str, type[WaveformStep | FeatureStep | Mixup]] = {
    "time_shift": TimeShift,
    "gain": Gain,
    "noise": Noise,
    "impulse_response": ImpulseResponse,
    "speed": Speed,
    "pitch": Pitch,
    "equalise": Equalise,
    "spec_augment": SpecAugment,
    "frequency_warp": FrequencyWarp,
    "mixup": Mixup,
}


def rng_for(seed: int, epoch: int, row: int) -> np.random.Generator:
    """The random stream of one clip in one epoch; different for each triple of non-negative numbers."""
    return np.random.default_rng(np.random.SeedSequence((seed, epoch, row)))


@dataclass(frozen=True)
class Augmentation:
    """The steps of a recipe, sorted by what they work on."""

    waveform_steps: tuple[WaveformStep, ...] = ()
    feature_steps: tuple[FeatureStep, ...] = ()
    batch: Mixup | None = None

    @property
    def touches_waveform(self) -> bool:
        """Whether features have to be computed anew each epoch."""
        return bool(self.waveform_steps)

    def waveform(self, samples: np.ndarray, rng: np.random.Generator, sample_rate: int) -> np.ndarray:
        """All waveform steps on float32 (samples,); the length changes only with `speed`."""
        for step in self.waveform_steps:
            if rng.random() < step.probability and len(samples):
                samples = step(samples, rng, sample_rate)
        return samples

    def features(self, features: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """All feature steps on (frames, bands)."""
        for step in self.feature_steps:
            if rng.random() < step.probability:
                features = step(features, rng)
        return features

    def mix(
        self, features: Features, lengths: Features, targets: torch.Tensor, rng: np.random.Generator
    ) -> tuple[Features, Features, torch.Tensor]:
        """The batch step on features (batch, frames, bands), lengths (batch,) and float targets (batch, …).

        Of several channels, features and lengths are tuples.
        """
        if self.batch is None:
            return features, lengths, targets
        mixed, partner, share = self.batch(features, lengths, rng)
        share = share.view(-1, *[1] * (targets.ndim - 1)).to(targets.dtype)
        return mixed, lengths, torch.lerp(targets[partner], targets, share)


def build(parts: Sequence[Part], sample_rate: int | None = None) -> Augmentation:
    """Make the augmentation of a recipe's `augment` list.

    Raises
    ------
    RecipeError : a step or one of its options is unknown or wrong, or a second step mixes the batch.
    DataError : a folder of noises or impulse responses holds no audio, or a file that cannot be read.
    """
    steps = []
    for part in parts:
        if part.name not in STEPS:
            raise RecipeError(f"unknown augmentation {part.name!r}.", did_you_mean(part.name, STEPS))
        steps.append(configure(STEPS[part.name], part.options, f"augmentation {part.name}"))
    batch = [step for step in steps if isinstance(step, Mixup)]
    if len(batch) > 1:
        raise RecipeError("augment: mixup is listed more than once.", "Keep one of them.")
    for step in steps:
        if isinstance(step, Noise | ImpulseResponse) and step.recordings is not None:
            step.recordings.check()
    return Augmentation(
        tuple(step for step in steps if isinstance(step, WaveformStep)),
        tuple(step for step in steps if isinstance(step, FeatureStep)),
        batch[0] if batch else None,
    )
