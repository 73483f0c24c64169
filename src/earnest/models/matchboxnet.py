"""MatchboxNet: time-channel-separable convolutions along time for keywords, and for voice activity.

S. Majumdar, B. Ginsburg, "MatchboxNet: 1D Time-Channel Separable Convolutional Neural Network Architecture for Speech
Commands Recognition", arXiv:2004.08531, table 1: separable k11, 128 channels; three residual blocks of 64 channels with
kernels 13, 15, 17, each of `repeat` separable sub-blocks with a 1×1 + BN shortcut; separable k29 dilation 2, 128;
1×1, 128; mean; dense. Made for 64 MFCC of 25 / 10 ms and 128 frames. 77,214 parameters with `repeat` 1 and 92,766 with
`repeat` 2, at 30 outputs. With two outputs and windows of 0.63 s it is the voice activity detector MarbleNet
(arXiv:2010.13886). Weights start Xavier-uniform, as in the authors' code.

The mean runs over all valid frames, so that any length is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models import Example
from earnest.models._masking import blank, mean_over_frames

SHAPE = "clip"
FIXED_INPUT = False
EXAMPLE = Example(bands=64)


@dataclass(frozen=True)
class Config:
    """The architecture's numbers.

    Attributes
    ----------
    repeat : sub-blocks in each residual block (1 or 2 in the paper).
    channels : of the residual blocks.
    wide : channels of the layers before and behind them.
    kernels : of the residual blocks, in frames, odd.
    dropout : behind each rectifier of the residual blocks.
    """

    repeat: int = 2
    channels: int = 64
    wide: int = 128
    kernels: tuple[int, ...] = (13, 15, 17)
    dropout: float = 0.0


class Separable(nn.Module):
    """[Depthwise along time, pointwise, BN] on (batch, channels, frames); the number of frames stays."""

    def __init__(self, before: int, after: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.depthwise = nn.Conv1d(
            before, before, kernel, padding=padding, dilation=dilation, groups=before, bias=False
        )
        self.pointwise = nn.Conv1d(before, after, 1, bias=False)
        self.norm = nn.BatchNorm1d(after)

    def forward(self, sequence: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """(batch, after, frames)."""
        valid = blank(sequence.unsqueeze(3), lengths).squeeze(3)
        normed: torch.Tensor = self.norm(self.pointwise(self.depthwise(valid)))
        return normed


class ResidualBlock(nn.Module):
    """`repeat` separable layers, each rectified, with a 1×1 + BN shortcut added in front of the last rectifier."""

    def __init__(self, before: int, after: int, kernel: int, repeat: int, dropout: float) -> None:
        super().__init__()
        sizes = [before] + [after] * repeat
        self.layers = nn.ModuleList(Separable(sizes[index], after, kernel) for index in range(repeat))
        self.shortcut = nn.Sequential(nn.Conv1d(before, after, 1, bias=False), nn.BatchNorm1d(after))
        self.dropout = nn.Dropout(dropout)

    def forward(self, sequence: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """(batch, after, frames)."""
        shortcut = self.shortcut(sequence)
        for layer in self.layers[:-1]:
            sequence = self.dropout(functional.relu(layer(sequence, lengths)))
        total: torch.Tensor = self.dropout(functional.relu(self.layers[-1](sequence, lengths) + shortcut))
        return total


class Model(nn.Module):
    """MFCC or log-mel frames to logits, for any number of frames; `bands` binds (64 in the paper).

    Raises
    ------
    RecipeError : no kernels, an even kernel, or no sub-blocks.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        if config.repeat < 1 or not config.kernels or any(kernel % 2 == 0 for kernel in config.kernels):
            raise RecipeError(
                f"matchboxnet needs odd kernels and one sub-block or more, got kernels {list(config.kernels)} and "
                f"repeat {config.repeat}.",
                "Example: model.kernels=[13,15,17] model.repeat=2",
            )
        self.first = Separable(bands, config.wide, kernel=11)
        sizes = (config.wide, *[config.channels] * len(config.kernels))
        self.blocks = nn.ModuleList(
            ResidualBlock(before, config.channels, kernel, config.repeat, config.dropout)
            for before, kernel in zip(sizes, config.kernels, strict=False)
        )
        self.dilated = Separable(sizes[-1], config.wide, kernel=29, dilation=2)
        self.last = nn.Sequential(nn.Conv1d(config.wide, config.wide, 1, bias=False), nn.BatchNorm1d(config.wide))
        self.output = nn.Linear(config.wide, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.xavier_uniform_(module.weight)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Mean over time (batch, wide) of features (batch, frames, bands)."""
        sequence = functional.relu(self.first(features.transpose(1, 2), lengths))  # (batch, wide, frames)
        for block in self.blocks:
            sequence = block(sequence, lengths)
        sequence = functional.relu(self.dilated(sequence, lengths))
        sequence = functional.relu(self.last(sequence))
        return mean_over_frames(sequence.unsqueeze(3), lengths)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits
