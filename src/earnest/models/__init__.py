"""Architectures, one file each.

A network module holds `Config` (a frozen dataclass), `SHAPE`, `FIXED_INPUT` and `Model`; an estimator module holds
`Estimator` in the place of `Model`. Shapes: `clip` gives (batch, outputs). A module whose network is large, or does not
take the input of `Example`, holds its own `EXAMPLE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from earnest import registry
from earnest.errors import RecipeError
from earnest.recipe import Part, configure


@dataclass(frozen=True)
class Example:
    """A small input and a small size of a network, in which it can be tried within seconds.

    Attributes
    ----------
    frames, bands : size of the input.
    options : the network's options.
    learning_rate : at which Adam fits a few clips.
    """

    frames: int = 64
    bands: int = 40
    options: Mapping[str, Any] = field(default_factory=dict)
    learning_rate: float = 3e-3


class Network(Protocol):
    """What a network does: features to logits, whatever lies beyond `lengths` being ignored."""

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
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


def needs_fixed_input(name: str) -> bool:
    """Whether a model takes one fixed number of frames only."""
    return bool(registry.load("models", name).FIXED_INPUT)


def example(name: str) -> Example:
    """A small input and size of a network."""
    found: Example = getattr(registry.load("models", name), "EXAMPLE", Example())
    return found


def build(part: Part, frames: int, bands: int, outputs: int) -> nn.Module:
    """A newly initialised network.

    Parameters
    ----------
    part : the model's name and options.
    frames, bands : size of one input; frames bind only where the model's `FIXED_INPUT` is true.
    outputs : number of logits.

    Raises
    ------
    RecipeError : unknown model or option, an estimator, or an input too small for the architecture.
    """
    module = registry.load("models", part.name)
    if not hasattr(module, "Model"):
        raise RecipeError(f"the model {part.name!r} is an estimator and has no network to train.")
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
