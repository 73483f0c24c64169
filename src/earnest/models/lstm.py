"""LSTM on cepstral frames: two layers of 256 units, pooled over time.

The recurrent baseline of speech emotion recognition: 2 layers, hidden size 256, dropout 0.5 between the layers and in
front of the last one, as the cepstral branch of H. Zou et al., "Speech Emotion Recognition with Co-Attention Based
Multi-Level Acoustic Information", arXiv:2203.15326, has them on 40 MFCC (there in both directions: `bilstm`).
Deviation: the frames are averaged, or weighted by attention, and not flattened, so that a clip may have any length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from earnest.models import Example
from earnest.models._pooling import PoolingName, build_pooling
from earnest.models._recurrent import Recurrent

SHAPE = "clip"
FIXED_INPUT = False
EXAMPLE = Example(options={"hidden": 32})


@dataclass(frozen=True)
class Config:
    """Units, layers, dropout between the layers and before the last, and how frames become one vector."""

    hidden: int = 256
    layers: int = 2
    dropout: float = 0.5
    pooling: PoolingName = "mean"


class Model(nn.Module):
    """MFCC frames to logits, for any number of frames and bands (`frames` is not needed)."""

    BIDIRECTIONAL = False

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        self.recurrent = Recurrent(
            "LSTM", bands, config.hidden, config.layers, bidirectional=self.BIDIRECTIONAL, dropout=config.dropout
        )
        self.pooling = build_pooling(config.pooling, self.recurrent.size)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(self.recurrent.size, outputs)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Pooled outputs (batch, hidden × directions) of features (batch, frames, bands)."""
        pooled: torch.Tensor = self.pooling(self.recurrent(features, lengths), lengths)
        return pooled

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.dropout(self.embed(features, lengths)))
        return logits
