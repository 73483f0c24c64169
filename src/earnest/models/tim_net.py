"""TIM-Net: temporal-aware blocks that look both ways in time, at every scale, on MFCC frames.

J. Ye et al., "Temporal Modeling Matters: A Novel Temporal Emotional Modeling Approach for Speech Emotion Recognition",
arXiv:2211.08233: a k1 convolution per direction, 8 blocks (10 for IEMOCAP) of two causal convolutions each whose
sigmoid gates the block's input, the mean over time of both directions together, learned weights over the blocks, dense.
104,456 trainable parameters with 39 MFCC and 6 outputs. The paper trains with Adam 1e-3, β (0.93, 0.98), label
smoothing 0.1, batch 64. Deviations: the time reverse is done by looking ahead, which equals it for a whole clip and
stays right for a padded one; convolutions start as torch starts them, where the paper's code has Glorot's uniform.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from earnest.models import Example
from earnest.models._masking import mean_over_frames
from earnest.models._tim import TemporalModelling

SHAPE = "clip"
FIXED_INPUT = False
EXAMPLE = Example(options={"channels": 24, "blocks": 5, "dropout": 0.0}, learning_rate=1e-2)


@dataclass(frozen=True)
class Config:
    """Sizes of the blocks.

    Attributes
    ----------
    channels : of every block.
    blocks : number of blocks, with dilations 1, 2, 4, …
    dropout : probability that a block's convolution drops a whole channel.
    shared_directions : both directions of time use the same weights (the depression log's form).
    """

    channels: int = 39
    blocks: int = 8
    dropout: float = 0.1
    shared_directions: bool = False


class Model(nn.Module):
    """MFCC frames to logits, for any number of frames and bands (`frames` is not needed)."""

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        self.tim = TemporalModelling(bands, config.channels, config.blocks, config.dropout, config.shared_directions)
        self.output = nn.Linear(config.channels, outputs)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The blocks' weighted sum in the mean over valid frames, (batch, channels)."""
        sequence = self.tim(features.transpose(1, 2), lengths)  # (batch, channels, frames)
        return mean_over_frames(sequence.unsqueeze(3), lengths)
