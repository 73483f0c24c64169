"""CNN-Transformer for depression from speech: temporal-aware blocks first, then a Transformer encoder.

MFCC frames (39 bands, 313 frames: 10 s) → the blocks of TIM-Net (arXiv:2211.08233) with their time kept → MaxPool 2 →
k1 convolution to 256 → 3 post-norm encoder layers of 8 heads and 1024 hidden, without positions → dense over time
156 → 1 → dense. The blocks are `model.tim`, with the names that tim_net gives them: a model that was trained on an
emotion corpus can lend them.

2,484,407 trainable parameters with 2 outputs: blocks 104,216 as in tim_net, projection 10,240, encoder 2,369,280, over
time 157, output 514. The original, known as 2.44 M, has 2,444,783: there both directions share one set of blocks,
and each block carries a k1 convolution that is never used (12,480 in all). With `shared_directions` this model has the
2,432,303 of them that do something. Deviation: the original adds frame t of the forward direction to frame T − 1 − t of
the backward one; here both halves of a sum speak of the same frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models import Example
from earnest.models._encoder import Encoder
from earnest.models._pooling import blank_frames
from earnest.models._tim import TemporalModelling, mask

SHAPE = "clip"
FIXED_INPUT = True
SMALL = {"channels": 12, "blocks": 3, "dropout": 0.0, "width": 32, "heads": 4, "hidden": 64, "layers": 2}
EXAMPLE = Example(bands=13, options=SMALL)


@dataclass(frozen=True)
class Config:
    """Sizes of the blocks and of the encoder.

    Attributes
    ----------
    channels, blocks, shared_directions : of the temporal-aware blocks, as in tim_net.
    width, heads, hidden, layers : of the encoder.
    dropout : of both.
    """

    channels: int = 39
    blocks: int = 8
    shared_directions: bool = False
    width: int = 256
    heads: int = 8
    hidden: int = 1024
    layers: int = 3
    dropout: float = 0.1


class Model(nn.Module):
    """MFCC clips of a fixed length to logits.

    Parameters
    ----------
    config : the architecture's numbers.
    frames, bands : size of every input; at least 2 frames, of which an odd last one is not seen by the encoder.
    outputs : number of logits.

    Raises
    ------
    RecipeError : a single frame, or heads that do not divide the width.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        if frames < 2:
            raise RecipeError(
                f"the encoder sees every second frame: at least 2 frames, got {frames}.",
                "Use a longer window (clips.window_s) or a shorter hop.",
            )
        self.tim = TemporalModelling(bands, config.channels, config.blocks, config.dropout, config.shared_directions)
        self.project = nn.Conv1d(config.channels, config.width, 1)
        self.encoder = Encoder(config.width, config.heads, config.hidden, config.layers, config.dropout)
        self.over_time = nn.Linear(frames // 2, 1)
        self.output = nn.Linear(config.width, outputs)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The encoder's output in the weighted sum over time, (batch, width)."""
        sequence = mask(self.tim(features.transpose(1, 2), lengths), lengths)  # (batch, channels, frames)
        sequence = functional.max_pool1d(sequence, 2)
        lengths = None if lengths is None else lengths // 2
        tokens = self.encode(self.project(sequence).transpose(1, 2), lengths)  # (batch, frames // 2, width)
        summed: torch.Tensor = self.over_time(blank_frames(tokens, lengths).transpose(1, 2))  # (batch, width, 1)
        return summed.squeeze(2)

    def encode(self, tokens: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """The last layer's output (batch, frames, width) for tokens of the same size."""
        outputs: list[torch.Tensor] = self.encoder(tokens, lengths)
        return outputs[-1]
