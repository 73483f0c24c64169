"""Architectures, one file each.

A network module holds `Config` (a frozen dataclass), `SHAPE`, `FIXED_INPUT` and `Model`; an estimator module holds
`Estimator` in the place of `Model`. Shapes: `clip` gives (batch, outputs); `frames` gives (batch, frames, outputs), and
has `state_size` and `step(features, state)` for streams (see `vad_gru`). A module whose network is large, or does not
take the input of `Example`, holds its own `EXAMPLE`. A network that fuses several front ends names what it takes, in
order, by its Config's property `takes`; its features, lengths, frames and bands are then tuples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from earnest import registry
from earnest.errors import RecipeError
from earnest.frontends import Features, Size
from earnest.recipe import Part, configure


@dataclass(frozen=True)
class Example:
    """A small input and a small size of a network, in which it can be tried within seconds.

    Attributes
    ----------
    frames, bands : size of the input; tuples for a network that takes several channels.
    options : the network's options.
    learning_rate : at which Adam fits a few clips.
    frontend : gives such features, where `log_mel` of that many bands does not.
    """

    frames: Size = 64
    bands: Size = 40
    options: Mapping[str, Any] = field(default_factory=dict)
    learning_rate: float = 3e-3
    frontend: Part | None = None


class Network(Protocol):
    """What a network does: features to logits, whatever lies beyond `lengths` being ignored."""

    def forward(self, features: Features, lengths: Features | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands); `lengths` (batch,) counts the valid frames.

        `lengths=None` says that every frame is valid, which is how a network is exported.
        """
        ...


class Estimator(Protocol):
    """What an estimator does: it is fitted in one go and turns into a network."""

    def fit(self, features: np.ndarray, targets: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> nn.Module:
        """A network with the fitted decision, from features (clips, dims), class numbers and group names (clips,)."""
        ...

    def restore(self, state: Mapping[str, torch.Tensor]) -> nn.Module:
        """The network again, from its `state_dict`."""
        ...


def is_estimator(name: str) -> bool:
    """Whether a model is fitted in one go (`Estimator`) instead of trained in epochs (`Model`)."""
    return hasattr(registry.load("models", name), "Estimator")


def shape_of(name: str) -> str:
    """The shape of a model's outputs: `clip` or `frames`."""
    return str(registry.load("models", name).SHAPE)


def needs_fixed_input(name: str) -> bool:
    """Whether a model takes one fixed number of frames only."""
    return bool(registry.load("models", name).FIXED_INPUT)


def example(name: str) -> Example:
    """A small input and size of a network."""
    found: Example = getattr(registry.load("models", name), "EXAMPLE", Example())
    return found


def check_channels(part: Part, bands: Size) -> None:
    """Make sure that a model gets as many channels as it takes.

    Raises
    ------
    RecipeError : unknown model or option, or another number of front ends.
    """
    takes: Sequence[str] = getattr(_config(registry.load("models", part.name), part), "takes", ())
    given = len(bands) if isinstance(bands, tuple) else 0
    if given == len(takes):
        return
    came = f"the recipe gives {given} (a list of front ends)" if given else "the recipe gives a single front end"
    if takes:
        raise RecipeError(
            f"the model {part.name} fuses {len(takes)} channels ({', '.join(takes)}), and {came}.",
            "Name one front end for each in this order, as in frontend: [mfcc, waveform].",
        )
    raise RecipeError(
        f"the model {part.name} takes one front end, and {came}.",
        "Lay their bands side by side with frontend: {name: stack, of: [...]}, or choose a model that fuses channels.",
    )


def build(part: Part, frames: Size, bands: Size, outputs: int) -> nn.Module:
    """A newly initialised network.

    Parameters
    ----------
    part : the model's name and options.
    frames, bands : size of one input; frames bind only where the model's `FIXED_INPUT` is true. Tuples, where the
        recipe has several front ends.
    outputs : number of logits.

    Raises
    ------
    RecipeError : unknown model or option, an estimator, another number of channels than the model takes, or an input
        too small for the architecture.
    """
    module = registry.load("models", part.name)
    if not hasattr(module, "Model"):
        raise RecipeError(f"the model {part.name!r} is an estimator and has no network to train.")
    check_channels(part, bands)
    network: nn.Module = module.Model(_config(module, part), frames, bands, outputs)
    return network


def build_estimator(part: Part, outputs: int) -> Estimator:
    """An estimator that is ready to be fitted.

    Raises
    ------
    RecipeError : unknown model or option, or a network.
    """
    module = registry.load("models", part.name)
    if not hasattr(module, "Estimator"):
        raise RecipeError(f"the model {part.name!r} is a network and cannot be fitted in one go.")
    estimator: Estimator = module.Estimator(_config(module, part), outputs)
    return estimator


def _config(module: ModuleType, part: Part) -> object:
    return configure(module.Config, part.options, f"model {part.name}")
