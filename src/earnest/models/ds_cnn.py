"""DS-CNN, the depthwise-separable network of the MLPerf Tiny keyword-spotting benchmark.

Y. Zhang, N. Suda, L. Lai, V. Chandra, "Hello Edge: Keyword Spotting on Microcontrollers", arXiv:1711.07128, in the
size that C. Banbury et al., "MLPerf Tiny Benchmark", arXiv:2106.07597 fixed: Conv 64 @ 10 frames × 4 bands stride 2,
BN, ReLU, dropout 0.2; 4 × [depthwise 3×3, BN, ReLU, pointwise 64, BN, ReLU]; dropout 0.4; mean; dense. 23,756
trainable parameters with 12 outputs, whatever the input's size. The mean runs over all frames and bands (the benchmark
pools a fixed 25 × 5), so that any length is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.models._masking import after_layer, blank, mean_over_frames

SHAPE = "clip"
FIXED_INPUT = False

# "Same" padding of a stride-2 kernel of 10 frames × 4 bands, as TensorFlow places it: ceil(size / 2) outputs.
FRAMES_PADDING = (4, 5)
BANDS_PADDING = (1, 2)


@dataclass(frozen=True)
class Config:
    """Channels, number of separable blocks, and dropout behind the first layer and before the mean."""

    channels: int = 64
    blocks: int = 4
    dropout_first: float = 0.2
    dropout_last: float = 0.4


class Separable(nn.Module):
    """[Depthwise 3×3, BN, ReLU, pointwise, BN, ReLU] on (batch, channels, frames, bands)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.depthwise_norm = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.pointwise_norm = nn.BatchNorm2d(channels)

    def forward(self, image: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """An image of the same size."""
        image = functional.relu(self.depthwise_norm(self.depthwise(blank(image, lengths))))
        return functional.relu(self.pointwise_norm(self.pointwise(image)))


class Model(nn.Module):
    """MFCC or log-mel frames to logits, for any number of frames and bands (`frames` and `bands` are not needed)."""

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, config.channels, (10, 4), stride=2)
        self.first_norm = nn.BatchNorm2d(config.channels)
        self.first_dropout = nn.Dropout(config.dropout_first)
        self.blocks = nn.ModuleList(Separable(config.channels) for _ in range(config.blocks))
        self.last_dropout = nn.Dropout(config.dropout_last)
        self.output = nn.Linear(config.channels, outputs)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """What the last layer sees, (batch, channels)."""
        image = blank(features.unsqueeze(1), lengths)  # (batch, 1, frames, bands)
        image = self.first(functional.pad(image, (*BANDS_PADDING, *FRAMES_PADDING)))
        lengths = after_layer(lengths, kernel=10, stride=2, padding=sum(FRAMES_PADDING))
        image = self.first_dropout(functional.relu(self.first_norm(image)))
        for block in self.blocks:
            image = block(image, lengths)
        return mean_over_frames(self.last_dropout(image), lengths)
