"""Convolutions along time, an LSTM, attention pooling: the CNN + LSTM of emotion recognition tables.

3 × [Conv1d 5 padding 2, BN, ReLU, MaxPool 2] with 64, 128 and 128 channels over all bands at once, an LSTM of 128
units, attention pooling (`_pooling.Attention`), dense. The pools round the number of frames up, so that a clip of any
length leaves something. Addition: an optional dropout in front of the last layer, 0 in the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.models._masking import after_layer, blank
from earnest.models._pooling import PoolingName, build_pooling
from earnest.models._recurrent import Recurrent

SHAPE = "clip"
FIXED_INPUT = False


@dataclass(frozen=True)
class Config:
    """The architecture's numbers.

    Attributes
    ----------
    channels : of the convolutions, each of which halves the frames.
    hidden : units of the LSTM.
    bidirectional : whether the LSTM runs both ways.
    pooling : how frames become one vector.
    dropout : in front of the last layer.
    """

    channels: tuple[int, ...] = (64, 128, 128)
    hidden: int = 128
    bidirectional: bool = False
    pooling: PoolingName = "attention"
    dropout: float = 0.0


class Model(nn.Module):
    """MFCC or log-mel frames to logits, for any number of frames and bands (`frames` is not needed)."""

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        sizes = (bands, *config.channels)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, after, 5, padding=2) for before, after in zip(sizes, config.channels, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(after) for after in config.channels)
        self.recurrent = Recurrent("LSTM", sizes[-1], config.hidden, bidirectional=config.bidirectional)
        self.pooling = build_pooling(config.pooling, self.recurrent.size)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(self.recurrent.size, outputs)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Pooled outputs of the LSTM (batch, hidden × directions) of features (batch, frames, bands)."""
        image = features.transpose(1, 2).unsqueeze(3)  # (batch, bands, frames, 1)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            rows = convolution(blank(image, lengths).squeeze(3))  # (batch, channels, frames)
            image = blank(functional.relu(norm(rows)).unsqueeze(3), lengths)
            # As an image, since max_pool1d exports one length only.
            image = functional.max_pool2d(image, (2, 1), ceil_mode=True)
            lengths = after_layer(lengths, kernel=2, stride=2, padding=1)
        sequence = self.recurrent(image.squeeze(3).transpose(1, 2), lengths)  # (batch, frames / 8, hidden)
        pooled: torch.Tensor = self.pooling(sequence, lengths)
        return pooled

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.dropout(self.embed(features, lengths)))
        return logits
