"""A small residual network for log-mel clips, with mean and max pooling over time.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning", arXiv:1512.03385, cut down for clips of seconds and corpora
of hours: a strided 5×5 convolution, then stages of basic blocks [Conv 3×3, BN, ReLU, Conv 3×3, BN] + shortcut, each
stage after the first halving frames and bands and doubling the channels. What is left is averaged over the bands; the
mean and the maximum over time are added (Q. Kong et al., "PANNs", arXiv:1912.10211), so that a short event and a
lasting texture both count. With `centre` each clip's own mean over time is taken off every band first (cepstral mean
normalisation in the log-mel domain), which removes the microphone's colour and the level.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models._masking import after_layer, blank, max_over_frames, mean_over_frames

SHAPE = "clip"
FIXED_INPUT = False


@dataclass(frozen=True)
class Config:
    """The architecture's numbers.

    Attributes
    ----------
    width : channels of the first stage; each further stage doubles them.
    stages : blocks in each stage.
    stem_stride : stride of the first convolution along frames and bands.
    dropout : in front of the last layer.
    centre : take each clip's mean over time off every band.
    """

    width: int = 16
    stages: tuple[int, ...] = (1, 1, 1, 1)
    stem_stride: tuple[int, int] = (2, 2)
    dropout: float = 0.2
    centre: bool = False


class Block(nn.Module):
    """[Conv 3×3, BN, ReLU, Conv 3×3, BN] + shortcut, ReLU, on (batch, channels, frames, bands)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.first = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, image: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """(batch, after, frames / stride, bands / stride), rounded up."""
        image = blank(image, lengths)
        lengths = after_layer(lengths, kernel=3, stride=self.stride, padding=2)
        inner = functional.relu(self.first_norm(self.first(image)))
        inner = self.second_norm(self.second(blank(inner, lengths)))
        return functional.relu(inner + self.shortcut(image))


class Model(nn.Module):
    """Log-mel frames to logits, for any number of frames and bands (`frames` and `bands` are not needed).

    Raises
    ------
    RecipeError : no stages.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        if not config.stages:
            raise RecipeError("resnet needs at least one stage, got none.", "Example: model.stages=[1,1,1,1]")
        self.config = config
        width = config.width
        self.stem = nn.Conv2d(1, width, 5, config.stem_stride, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        blocks = []
        before = width
        for stage, count in enumerate(config.stages):
            after = width * 2**stage
            for index in range(count):
                blocks.append(Block(before, after, stride=2 if stage and not index else 1))
                before = after
        self.blocks = nn.ModuleList(blocks)
        self.strides = tuple(block.stride for block in blocks)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(before, outputs)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """What the last layer sees, (batch, channels of the last stage)."""
        image = blank(features.unsqueeze(1), lengths)  # (batch, 1, frames, bands)
        if self.config.centre:
            image = image - self._mean_over_time(image, lengths)
            image = blank(image, lengths)
        image = functional.relu(self.stem_norm(self.stem(image)))
        lengths = after_layer(lengths, kernel=5, stride=self.config.stem_stride[0], padding=4)
        for block, stride in zip(self.blocks, self.strides, strict=True):
            image = block(image, lengths)
            lengths = after_layer(lengths, kernel=3, stride=stride, padding=2)
        pooled: torch.Tensor = self.dropout(mean_over_frames(image, lengths) + max_over_frames(image, lengths))
        return pooled

    def _mean_over_time(self, image: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """Mean over valid frames of each band, (batch, 1, 1, bands)."""
        if lengths is None:
            return image.mean(dim=2, keepdim=True)
        return image.sum(dim=2, keepdim=True) / lengths.to(image.device).clamp(min=1)[:, None, None, None]
