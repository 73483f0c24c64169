"""Transformer-TIM for depression from speech: a Transformer encoder first, then temporal-aware blocks.

MFCC frames (39 bands, 313 frames: 10 s) → k1 convolutions to 128 and 256, each with BN and ReLU → 3 post-norm encoder
layers of 8 heads and 1024 hidden, without positions → BN → k1 convolution back to 39 → the blocks of TIM-Net
(arXiv:2211.08233) with their time kept → flatten 313 · 39 → dense 100, dropout 0.2, dense. There is no rectifier behind
the dense layer. The blocks are `model.tim`, with the names that tim_net gives them.

3,743,945 trainable parameters with 2 outputs, of which the blocks have 104,216 as in tim_net. The original, known as
3.70 M, has 3,704,321: there both directions share one set of blocks, and each block carries a k1 convolution that is
never used (12,480 in all). With `shared_directions` this model has the 3,691,841 of them that do something. Deviation:
the original adds frame t of the forward direction to frame T − 1 − t of the backward one; here both halves of a sum
speak of the same frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.models import Example
from earnest.models._encoder import Encoder
from earnest.models._tim import TemporalModelling, mask

SHAPE = "clip"
FIXED_INPUT = True
EXAMPLE = Example(
    bands=13,
    options={
        "channels": 12,
        "blocks": 3,
        "entry": 24,
        "width": 32,
        "heads": 4,
        "hidden": 64,
        "layers": 2,
        "dropout": 0.0,
    },
)


@dataclass(frozen=True)
class Config:
    """Sizes of the layers, in the order of the path.

    Attributes
    ----------
    entry : channels of the first convolution.
    width, heads, hidden, layers : of the encoder.
    channels, blocks, shared_directions : of the temporal-aware blocks, as in tim_net.
    dropout : of encoder and blocks.
    dense, dropout_last : of the layer before the output.
    """

    entry: int = 128
    width: int = 256
    heads: int = 8
    hidden: int = 1024
    layers: int = 3
    channels: int = 39
    blocks: int = 8
    shared_directions: bool = False
    dropout: float = 0.1
    dense: int = 100
    dropout_last: float = 0.2


class Model(nn.Module):
    """MFCC clips of a fixed length to logits.

    Parameters
    ----------
    config : the architecture's numbers.
    frames, bands : size of every input.
    outputs : number of logits.

    Raises
    ------
    RecipeError : heads that do not divide the width.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        self.entry = nn.Conv1d(bands, config.entry, 1)
        self.entry_norm = nn.BatchNorm1d(config.entry)
        self.widen = nn.Conv1d(config.entry, config.width, 1)
        self.widen_norm = nn.BatchNorm1d(config.width)
        self.encoder = Encoder(config.width, config.heads, config.hidden, config.layers, config.dropout)
        self.encoder_norm = nn.BatchNorm1d(config.width)
        self.narrow = nn.Conv1d(config.width, bands, 1)
        self.tim = TemporalModelling(bands, config.channels, config.blocks, config.dropout, config.shared_directions)
        self.dense = nn.Linear(config.channels * frames, config.dense)
        self.dropout = nn.Dropout(config.dropout_last)
        self.output = nn.Linear(config.dense, outputs)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.dropout(self.embed(features, lengths)))
        return logits

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The dense layer's output, (batch, dense)."""
        sequence = functional.relu(self.entry_norm(self.entry(features.transpose(1, 2))))  # (batch, entry, frames)
        sequence = functional.relu(self.widen_norm(self.widen(sequence)))  # (batch, width, frames)
        tokens = self.encoder(sequence.transpose(1, 2), lengths)[-1]  # (batch, frames, width)
        sequence = self.narrow(self.encoder_norm(tokens.transpose(1, 2)))  # (batch, bands, frames)
        sequence = self.tim(sequence, lengths)  # (batch, channels, frames)
        hidden: torch.Tensor = self.dense(mask(sequence, lengths).flatten(1))
        return hidden
