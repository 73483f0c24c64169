"""Speech Emotion Transformer (SET): an encoder whose layers' outputs are the channels of an image for a small CNN.

MFCC frames (39 bands, 313 frames: 10 s) → k1 convolution to 256, BN → 3 post-norm encoder layers of 8 heads and 1024
hidden, without positions → the layers' outputs as 3 channels of 313 × 256 → BN → 4 × [Conv 3×3, BN, MaxPool 2, 2, 3, 3]
of 16, 32, 64, 128 channels → flatten 128 · 8 · 7 → dense 100, dropout 0.3, dense. There is no rectifier: the pools are
what is not linear. 3,195,060 trainable parameters with 2 outputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models import Example
from earnest.models._encoder import Encoder
from earnest.models._masking import after_layer, blank

SHAPE = "clip"
FIXED_INPUT = True
EXAMPLE = Example(
    bands=13, options={"dropout": 0.0, "width": 48, "heads": 4, "hidden": 96, "layers": 2}, learning_rate=1e-3
)
CHANNELS = (16, 32, 64, 128)
POOLS = (2, 2, 3, 3)
SMALLEST = math.prod(POOLS)


@dataclass(frozen=True)
class Config:
    """Sizes of the encoder and of the dense layer.

    Attributes
    ----------
    width, heads, hidden, layers, dropout : of the encoder; the width is at least 36.
    dense, dropout_last : of the layer before the output.
    """

    width: int = 256
    heads: int = 8
    hidden: int = 1024
    layers: int = 3
    dropout: float = 0.1
    dense: int = 100
    dropout_last: float = 0.3


class Pooled(nn.Module):
    """[Convolution 3×3, BN, MaxPool] on (batch, channels, frames, width)."""

    def __init__(self, before: int, after: int, pool: int) -> None:
        super().__init__()
        self.pool = pool
        self.convolution = nn.Conv2d(before, after, 3, padding=1)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, image: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """An image `pool` times smaller, rounded down."""
        return functional.max_pool2d(self.norm(self.convolution(blank(image, lengths))), self.pool)


class Model(nn.Module):
    """MFCC clips of a fixed length to logits.

    Parameters
    ----------
    config : the architecture's numbers.
    frames, bands : size of every input; at least 36 frames.
    outputs : number of logits.

    Raises
    ------
    RecipeError : fewer than 36 frames, a width below 36, or heads that do not divide the width.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        if frames < SMALLEST or config.width < SMALLEST:
            raise RecipeError(
                f"the pools divide frames and width by {SMALLEST}: both are at least {SMALLEST}, "
                f"got {frames} frames and a width of {config.width}.",
                "Use a longer window (clips.window_s), a shorter hop, or a greater width.",
            )
        self.project = nn.Conv1d(bands, config.width, 1)
        self.project_norm = nn.BatchNorm1d(config.width)
        self.encoder = Encoder(config.width, config.heads, config.hidden, config.layers, config.dropout)
        self.stack_norm = nn.BatchNorm2d(config.layers)
        sizes = (config.layers, *CHANNELS)
        self.blocks = nn.ModuleList(
            Pooled(before, after, pool) for before, after, pool in zip(sizes, CHANNELS, POOLS, strict=False)
        )
        cells = _pooled(frames) * _pooled(config.width)
        self.dense = nn.Linear(CHANNELS[-1] * cells, config.dense)
        self.dropout = nn.Dropout(config.dropout_last)
        self.output = nn.Linear(config.dense, outputs)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.dropout(self.embed(features, lengths)))
        return logits

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The dense layer's output, (batch, dense)."""
        sequence = self.project_norm(self.project(features.transpose(1, 2)))  # (batch, width, frames)
        layers = self.encoder(sequence.transpose(1, 2), lengths)
        image = self.stack_norm(torch.stack(layers, dim=1))  # (batch, layers, frames, width)
        for block, pool in zip(self.blocks, POOLS, strict=True):
            image = block(image, lengths)
            lengths = after_layer(lengths, kernel=pool, stride=pool, padding=0)
        hidden: torch.Tensor = self.dense(blank(image, lengths).flatten(1))
        return hidden


def _pooled(size: int) -> int:
    """A size behind the four pools, each of which rounds down."""
    for pool in POOLS:
        size //= pool
    return size
