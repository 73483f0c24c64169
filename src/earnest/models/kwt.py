"""Keyword Transformer: one MFCC frame is one token.

A. Berg, M. O'Connor, M. T. Cruz, "Keyword Transformer: A Self-Attention Model for Keyword Spotting", arXiv:2104.00769:
each frame projected to 64 · `heads` numbers, a class token in front, learned positions, 12 post-norm blocks with heads
of 64 and a GELU layer of 256 · `heads`; the class token's last state goes to a dense layer. Made for 98 frames × 40
MFCC. Queries, keys and values have no bias.

`heads` 1, 2 and 3 are the paper's KWT-1, KWT-2 and KWT-3: 607,308, 2,394,252 and 5,360,844 parameters with 12 outputs
(607 K, 2,394 K and 5,361 K there).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from earnest.errors import RecipeError
from earnest.models import Example
from earnest.models._pooling import blank_frames, valid_frames
from earnest.models._vit import Block, initialise, learned

SHAPE = "clip"
FIXED_INPUT = True
EXAMPLE = Example(options={"depth": 2}, learning_rate=1e-3)
HEAD = 64  # numbers in one head


@dataclass(frozen=True)
class Config:
    """Heads (which set every width), blocks, and dropout within them (none in the paper)."""

    heads: int = 1
    depth: int = 12
    dropout: float = 0.0


class Model(nn.Module):
    """Fixed-size MFCC or log-mel clips to logits.

    Parameters
    ----------
    config : the architecture's numbers.
    frames, bands : size of every input; each frame has its learned position.
    outputs : number of logits.

    Raises
    ------
    RecipeError : no heads or no blocks.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        if config.heads < 1 or config.depth < 1:
            raise RecipeError(
                f"kwt needs at least one head and one block, got heads {config.heads} and depth {config.depth}.",
                "The paper has heads 1, 2 or 3 and depth 12.",
            )
        dim = HEAD * config.heads
        self.projection = nn.Linear(bands, dim)
        self.class_token = learned(1, 1, dim)
        self.positions = learned(1, 1 + frames, dim)
        self.blocks = nn.ModuleList(
            Block(dim, config.heads, 4 * dim, first=False, bias=False, dropout=config.dropout)
            for _ in range(config.depth)
        )
        self.output = nn.Linear(dim, outputs)
        initialise(self)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The class token's last state (batch, 64 · heads) for features (batch, frames, bands)."""
        tokens: torch.Tensor = self.projection(blank_frames(features, lengths))
        tokens = torch.cat([self.class_token.expand(tokens.shape[0], -1, -1), tokens], dim=1) + self.positions
        valid = None if lengths is None else valid_frames(tokens, lengths.clamp(min=1) + 1)
        for block in self.blocks:
            tokens = block(tokens, valid)  # (batch, 1 + frames, dim)
        return tokens[:, 0]

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits
