"""AudioTransformer: three strided convolutions, then a Transformer encoder over the frames.

3 × [Conv 3×3 stride 2 padding 1, BN, ReLU] with 32, 64 and 128 channels make one frame out of eight; the channels and
bands of each become 256 numbers by a dense layer, fixed sinusoidal positions are added, and 4 post-norm layers
(A. Vaswani et al., arXiv:1706.03762; width 256, feed-forward 512, 8 heads, dropout 0.1, ReLU) follow, without a class
token and without a last normalisation. Mean over time, dense. 2,466,506 parameters at 64 bands and 10 outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.models import Example
from earnest.models._encoder import Encoder, sinusoids
from earnest.models._masking import after_layer, blank
from earnest.models._pooling import PoolingName, build_pooling

SHAPE = "clip"
FIXED_INPUT = False
EXAMPLE = Example(options={"channels": (8, 16, 16), "width": 32, "hidden": 64, "layers": 2}, learning_rate=1e-3)


@dataclass(frozen=True)
class Config:
    """The architecture's numbers.

    Attributes
    ----------
    channels : of the convolutions, each of which halves frames and bands, rounding up.
    width : numbers in a frame of the encoder; `heads` divides it.
    hidden : of the feed-forward part.
    pooling : how frames become one vector.
    """

    channels: tuple[int, ...] = (32, 64, 128)
    width: int = 256
    layers: int = 4
    heads: int = 8
    hidden: int = 512
    dropout: float = 0.1
    pooling: PoolingName = "mean"


class Model(nn.Module):
    """Log-mel frames to logits, for any number of frames and bands (`frames` is not needed).

    Raises
    ------
    RecipeError : `heads` does not divide `width`.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        sizes = (1, *config.channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1)
            for before, after in zip(sizes, config.channels, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(after) for after in config.channels)
        left = -(-bands // 2 ** len(config.channels))
        self.frame = nn.Linear(sizes[-1] * left, config.width)
        self.width = config.width
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = Encoder(config.width, config.heads, config.hidden, config.layers, config.dropout)
        self.pooling = build_pooling(config.pooling, config.width)
        self.output = nn.Linear(config.width, outputs)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Pooled encoder outputs (batch, width) of features (batch, frames, bands)."""
        image = features.unsqueeze(1)  # (batch, 1, frames, bands)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            image = functional.relu(norm(convolution(blank(image, lengths))))
            lengths = after_layer(lengths, kernel=3, stride=2, padding=2)
        sequence = self.frame(image.transpose(1, 2).flatten(2))  # (batch, frames / 8, width)
        sequence = self.dropout(sequence + sinusoids(sequence.shape[1], self.width).to(sequence))
        pooled: torch.Tensor = self.pooling(self.encoder(sequence, lengths)[-1], lengths)
        return pooled

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits
