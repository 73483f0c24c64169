"""MobileNetV1 of PANNs: depthwise-separable convolutions on log-mel, 4.8 million parameters.

Q. Kong et al., arXiv:1912.10211, and the authors' code, after A. Howard et al., "MobileNets", arXiv:1704.04861: Conv
3×3 with 32 channels; 13 separable blocks [depthwise 3×3, BN, ReLU, pointwise, BN, ReLU] with 64, 128↓, 128, 256↓, 256,
512↓, 512 × 5, 1024↓ and 1024 channels. ↓ and the first convolution halve frames and bands by the mean over 2 × 2 cells
in front of the normalisation (in place of a stride). Then mean over bands; mean plus maximum over time; dropout 0.5;
dense 1024 ReLU; dense. 4,796,303 parameters with 64 bands and 527 outputs. The input, the common parts and the one
deviation are told in `earnest.models._panns`. Needs at least 32 bands.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models import Example
from earnest.models._masking import after_layer, blank
from earnest.models._panns import BandsNorm, Head, initialise

SHAPE = "clip"
FIXED_INPUT = False
EXAMPLE = Example(options={"width": 4})
WIDTHS = (2, 4, 4, 8, 8, 16, 16, 16, 16, 16, 16, 32, 32)  # times `width` channels
POOLS = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
LEAST = 32  # frames and bands that become one


@dataclass(frozen=True)
class Config:
    """Channels of the first convolution, which multiply all others; dropout in front of the dense layer."""

    width: int = 32
    dropout: float = 0.5


class Halving(nn.Module):
    """[Conv 3×3, mean over `pool` × `pool` cells, BN, ReLU] on (batch, channels, frames, bands)."""

    def __init__(self, before: int, after: int, groups: int, pool: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(before, after, 3, padding=1, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(after)
        self.pool = pool

    def forward(self, image: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """(batch, after, frames / pool, bands / pool), rounded down."""
        image = self.convolution(blank(image, lengths))
        if self.pool > 1:
            image = functional.avg_pool2d(blank(image, lengths), self.pool)
        return functional.relu(self.norm(image))


class Separable(nn.Module):
    """[Depthwise 3×3, mean over `pool` × `pool` cells, BN, ReLU, pointwise, BN, ReLU]."""

    def __init__(self, before: int, after: int, pool: int) -> None:
        super().__init__()
        self.depthwise = Halving(before, before, before, pool)
        self.pointwise = nn.Conv2d(before, after, 1, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, image: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """(batch, after, frames / pool, bands / pool), rounded down."""
        return functional.relu(self.norm(self.pointwise(self.depthwise(image, lengths))))


class Model(nn.Module):
    """Log-mel frames to logits, for any number of frames; `bands` binds.

    Raises
    ------
    RecipeError : fewer than 32 bands, or no channels.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        if config.width < 1:
            raise RecipeError(f"panns_mobilenet needs a width of 1 or more, got {config.width}.", "Default: 32.")
        self.front = BandsNorm("panns_mobilenet", bands, LEAST)
        self.first = Halving(1, config.width, groups=1, pool=2)
        widths = [config.width, *(factor * config.width for factor in WIDTHS)]
        self.blocks = nn.ModuleList(
            Separable(before, after, pool) for before, after, pool in zip(widths, widths[1:], POOLS, strict=False)
        )
        self.head = Head(widths[-1], config.dropout)
        self.output = nn.Linear(widths[-1], outputs)
        initialise(self)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The dense layer's values (batch, 32 · width) for features (batch, frames, bands)."""
        image, lengths = self.front(features, lengths)
        image = self.first(image, lengths)
        lengths = after_layer(lengths, kernel=2, stride=2, padding=0)
        for block, pool in zip(self.blocks, POOLS, strict=True):
            image = block(image, lengths)
            lengths = after_layer(lengths, kernel=pool, stride=pool, padding=0)
        embedding: torch.Tensor = self.head(image, lengths)
        return embedding

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits
