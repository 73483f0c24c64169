"""A Transformer encoder with the normalisation behind each sum, written out.

A. Vaswani et al., "Attention Is All You Need", arXiv:1706.03762, section 3.1. The numbers are those of
`torch.nn.TransformerEncoderLayer` as it is by default (post-norm, ReLU), and so are the initial weights; the output of
every layer is handed out, and no frame attends to frames beyond its clip's length.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models._pooling import valid_frames


class EncoderLayer(nn.Module):
    """Self-attention and two dense layers, each added to its input and normalised: (batch, frames, width)."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_input = nn.Linear(width, 3 * width)  # queries, keys, values
        self.attention_output = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)
        self.dense_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        nn.init.xavier_uniform_(self.attention_input.weight)
        nn.init.zeros_(self.attention_input.bias)
        nn.init.zeros_(self.attention_output.bias)

    def forward(self, tokens: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """Tokens (batch, frames, width) of the same size; `valid` (batch, frames) says which may be attended to."""
        tokens = self.attention_norm(tokens + self.dropout(self._attend(tokens, valid)))
        dense = self.contract(self.dropout(functional.relu(self.expand(tokens))))
        normalised: torch.Tensor = self.dense_norm(tokens + self.dropout(dense))
        return normalised

    def _attend(self, tokens: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        split = self.attention_input(tokens).unflatten(2, (3, self.heads, -1))  # (batch, frames, 3, heads, dim)
        queries, keys, values = split.permute(2, 0, 3, 1, 4).unbind(0)  # (batch, heads, frames, dim) each
        mixed = functional.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=None if valid is None else valid[:, None, None, :],
            dropout_p=self.dropout.p if self.training else 0.0,
        )
        attended: torch.Tensor = self.attention_output(mixed.transpose(1, 2).flatten(2))
        return attended


class Encoder(nn.Module):
    """A stack of layers.

    Raises
    ------
    RecipeError : the heads do not divide the width.
    """

    def __init__(self, width: int, heads: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise RecipeError(
                f"{heads} attention heads do not divide a width of {width}.", "Set heads to a divisor of width."
            )
        self.layers = nn.ModuleList(EncoderLayer(width, heads, hidden, dropout) for _ in range(layers))

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor | None) -> list[torch.Tensor]:
        """The output of every layer, each (batch, frames, width), the last one last."""
        valid = None if lengths is None else valid_frames(tokens, lengths)
        outputs = []
        for layer in self.layers:
            tokens = layer(tokens, valid)
            outputs.append(tokens)
        return outputs


def sinusoids(frames: int, width: int) -> torch.Tensor:
    """Fixed positions (frames, width): sines in the even columns, cosines in the odd ones (section 3.5)."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(frames)[:, None] * rates  # (frames, ceil(width / 2))
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]
