"""VGG for sound: the convolutions of VGGish, with a mean on top or with VGGish's own dense layers.

S. Hershey et al., "CNN Architectures for Large-Scale Audio Classification", arXiv:1609.09430: Conv 3×3 with 64, 128,
2 × 256 and 2 × 512 channels, each followed by ReLU and each group by MaxPool 2. From scratch the mean over frames and
bands and one dense layer follow (`hidden=[]`). With `hidden=[4096, 4096, 128]` it is VGGish, made for patches of 96
frames × 64 bands (0.96 s): 72,141,184 parameters below the last layer.

As in the reference code the pools round up, so that any size leaves something. Deviations: other sizes than 96 × 64
are averaged into the 6 × 4 cells that the dense layers take; the weights start as in K. He et al., arXiv:1502.01852,
since the reference's normal distribution of 0.01 learns nothing from small corpora (it stays in the last layer);
optional batch normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.models import Example
from earnest.models._initial import he
from earnest.models._masking import after_layer, blank
from earnest.models._pooling import PoolingName, adaptive_mean, build_pooling

SHAPE = "clip"
FIXED_INPUT = False
EXAMPLE = Example(options={"channels": (8, 16, 32, 32, 32, 32)}, learning_rate=1e-3)
POOLED = (True, True, False, True, False, True)  # which convolutions a pool follows
CELLS = (6, 4)  # what 96 frames × 64 bands leave behind four pools


@dataclass(frozen=True)
class Config:
    """The architecture's numbers.

    Attributes
    ----------
    channels : of the convolutions.
    hidden : sizes of the dense layers below the last one; none for a pooling over time.
    pooling : how frames become one vector, where there are no dense layers.
    batch_norm : normalise behind each convolution.
    dropout : in front of the last layer.
    """

    channels: tuple[int, int, int, int, int, int] = (64, 128, 256, 256, 512, 512)
    hidden: tuple[int, ...] = ()
    pooling: PoolingName = "mean"
    batch_norm: bool = False
    dropout: float = 0.0


class Model(nn.Module):
    """Log-mel frames to logits, for any number of frames and bands (`frames` and `bands` are not needed)."""

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        sizes: tuple[int, ...] = (1, *config.channels)
        self.convolutions = nn.ModuleList(
            he(nn.Conv2d(before, after, 3, padding=1)) for before, after in zip(sizes, config.channels, strict=False)
        )
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(channels) if config.batch_norm else nn.Identity() for channels in config.channels
        )
        self.pooling = build_pooling(config.pooling, sizes[-1])
        sizes = (sizes[-1] * CELLS[0] * CELLS[1], *config.hidden)
        self.hidden = nn.ModuleList(
            he(nn.Linear(before, after)) for before, after in zip(sizes, config.hidden, strict=False)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden[-1] if config.hidden else config.channels[-1], outputs)
        nn.init.normal_(self.output.weight, std=0.01)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The last hidden layer, or the pooled channels, of features (batch, frames, bands)."""
        image = features.unsqueeze(1)  # (batch, 1, frames, bands)
        for convolution, norm, pooled in zip(self.convolutions, self.norms, POOLED, strict=True):
            image = functional.relu(norm(convolution(blank(image, lengths))))
            if pooled:
                image = functional.max_pool2d(blank(image, lengths), 2, ceil_mode=True)
                lengths = after_layer(lengths, kernel=2, stride=2, padding=1)
        if not self.hidden:
            vector: torch.Tensor = self.pooling(image.mean(dim=3).transpose(1, 2), lengths)
            return vector
        vector = adaptive_mean(image, lengths, CELLS).flatten(1)
        for layer in self.hidden:
            vector = functional.relu(layer(vector))
        return vector

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.dropout(self.embed(features, lengths)))
        return logits
