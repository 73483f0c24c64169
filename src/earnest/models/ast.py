"""Audio Spectrogram Transformer: overlapping patches of a spectrogram through a vision transformer.

Y. Gong, Y.-A. Chung, J. Glass, "AST: Audio Spectrogram Transformer", arXiv:2104.01778: Conv 16×16 stride 10 makes the
tokens; a class token and a distillation token in front, learned positions (cut normal, deviation 0.02), 12 pre-norm
blocks with a GELU layer of four times the width; layer normalisation; the mean of the two tokens; layer normalisation
and a dense layer. Made for 128 filter-bank bands normalised to (x − mean) / (2 · deviation), and 10 s: 12 × 101 patches
of 1024 frames and 1214 tokens. Sizes are DeiT's (arXiv:2012.12877): `tiny` 192 × 3 heads, `small` 384 × 6, `base`
768 × 12. `base` has 86,594,063 parameters at 527 outputs.

Deviations: the default size is `tiny`, since nothing here starts from ImageNet; tokens run along the bands first, then
along time (the authors' run along time first), which only orders the positions. Positions are learned for the built
number of frames, and no other is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from earnest.errors import RecipeError
from earnest.models import Example
from earnest.models._vit import Block, Patches, initialise, learned

SHAPE = "clip"
FIXED_INPUT = True
EXAMPLE = Example(options={"depth": 2}, learning_rate=1e-3)
HEADS = {"tiny": 3, "small": 6, "base": 12}
HEAD = 64  # numbers in one head


@dataclass(frozen=True)
class Config:
    """The architecture's numbers.

    Attributes
    ----------
    size : width and heads.
    depth : number of blocks.
    patch, stride : side of a patch and the way to the next, in frames and bands.
    dropout : within the blocks (none in the paper).
    """

    size: Literal["tiny", "small", "base"] = "tiny"
    depth: int = 12
    patch: int = 16
    stride: int = 10
    dropout: float = 0.0


class Model(nn.Module):
    """Fixed-size filter-bank clips to logits.

    Parameters
    ----------
    config : the architecture's numbers.
    frames, bands : size of every input, at least one patch.
    outputs : number of logits.

    Raises
    ------
    RecipeError : an input smaller than one patch, or no blocks.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        if config.depth < 1:
            raise RecipeError(f"ast needs at least one block, got depth {config.depth}.", "The paper has 12.")
        heads = HEADS[config.size]
        dim = HEAD * heads
        self.patches = Patches("ast", frames, bands, dim, config.patch, config.stride)
        steps, rows = self.patches.grid
        self.special_tokens = learned(1, 2, dim)  # class and distillation
        self.positions = learned(1, 2 + steps * rows, dim)
        self.blocks = nn.ModuleList(
            Block(dim, heads, 4 * dim, first=True, dropout=config.dropout, epsilon=1e-6) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.output = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, outputs))
        initialise(self)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Mean of the two special tokens (batch, dim) for features (batch, frames, bands)."""
        patches = self.patches(features, lengths)  # (batch, dim, steps, rows)
        tokens = patches.flatten(2).transpose(1, 2)  # (batch, steps · rows, dim)
        tokens = torch.cat([self.special_tokens.expand(tokens.shape[0], -1, -1), tokens], dim=1) + self.positions
        valid = None if lengths is None else self._valid(lengths.to(features.device))
        for block in self.blocks:
            tokens = block(tokens, valid)
        embedding: torch.Tensor = self.norm(tokens[:, :2]).mean(dim=1)
        return embedding

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits

    def _valid(self, lengths: torch.Tensor) -> torch.Tensor:
        """Which tokens may be attended to, bool (batch, 2 + steps · rows)."""
        patches = self.patches.valid(lengths).repeat_interleave(self.patches.grid[1], dim=1)
        return torch.cat([patches.new_ones(len(lengths), 2), patches], dim=1)
