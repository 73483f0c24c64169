"""CRNN: convolutions that keep the time axis, a bidirectional GRU over it, pooling.

K. Choi, G. Fazekas, M. Sandler, K. Cho, "Convolutional Recurrent Neural Networks for Music Classification",
arXiv:1609.04243, in the size used for clips of sound and speech: 4 × [Conv 3×3, BN, ReLU, MaxPool, dropout 0.1] with
64, 128, 128 and 128 channels, 2 layers of bidirectional GRU with 64 units, attention or mean pooling, dense. The pools
halve the bands four times and the frames twice; the bands that are left are laid side by side with the channels.
Deviation: the frames are rounded up when halved, so that a clip of any length leaves something.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models import Example
from earnest.models._masking import after_layer, blank
from earnest.models._pooling import PoolingName, build_pooling
from earnest.models._recurrent import Recurrent

SHAPE = "clip"
FIXED_INPUT = False
EXAMPLE = Example(options={"channels": (8, 16, 16, 16), "hidden": 16})


@dataclass(frozen=True)
class Config:
    """The architecture's numbers.

    Attributes
    ----------
    channels : of each convolution; each halves the bands.
    halved_frames : how many of the convolutions, from the first on, halve the frames too.
    hidden : units of the GRU in each direction.
    layers : of the GRU.
    dropout : behind each convolution.
    dropout_last : between the layers of the GRU and in front of the last layer.
    pooling : how frames become one vector.
    """

    channels: tuple[int, ...] = (64, 128, 128, 128)
    halved_frames: int = 2
    hidden: int = 64
    layers: int = 2
    dropout: float = 0.1
    dropout_last: float = 0.0
    pooling: PoolingName = "attention"


class Model(nn.Module):
    """Log-mel frames to logits, for any number of frames (`frames` is not needed).

    Raises
    ------
    RecipeError : fewer bands than the pools need, 2 to the number of convolutions (16).
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        left = bands // 2 ** len(config.channels)
        if left < 1:
            raise RecipeError(
                f"crnn halves its bands {len(config.channels)} times: at least {2 ** len(config.channels)} bands, "
                f"got {bands}.",
                "Use more bands, or fewer convolutions (model.channels).",
            )
        sizes = (1, *config.channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in zip(sizes, config.channels, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(after) for after in config.channels)
        self.halved_frames = config.halved_frames
        self.dropout = nn.Dropout(config.dropout)
        self.recurrent = Recurrent(
            "GRU", sizes[-1] * left, config.hidden, config.layers, bidirectional=True, dropout=config.dropout_last
        )
        self.pooling = build_pooling(config.pooling, self.recurrent.size)
        self.dropout_last = nn.Dropout(config.dropout_last)
        self.output = nn.Linear(self.recurrent.size, outputs)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Pooled outputs of the GRU (batch, 2 × hidden) of features (batch, frames, bands)."""
        image = features.unsqueeze(1)  # (batch, 1, frames, bands)
        for index, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            image = functional.relu(norm(convolution(blank(image, lengths))))
            image = functional.max_pool2d(image, (1, 2))
            if index < self.halved_frames:
                image = functional.max_pool2d(blank(image, lengths), (2, 1), ceil_mode=True)
                lengths = after_layer(lengths, kernel=2, stride=2, padding=1)
            image = self.dropout(image)
        sequence = image.transpose(1, 2).flatten(2)  # (batch, frames / 4, channels × bands / 16)
        pooled: torch.Tensor = self.pooling(self.recurrent(sequence, lengths), lengths)
        return pooled

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.dropout_last(self.embed(features, lengths)))
        return logits
