"""Parts of vision transformers on spectrograms: patches, self-attention, and blocks.

A. Dosovitskiy et al., "An Image is Worth 16×16 Words", arXiv:2010.11929. Sequences are (batch, tokens, dim); a mask
`valid` (batch, tokens) says which tokens may be attended to, None that all may.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models._masking import blank


class Patches(nn.Module):
    """Squares of a spectrogram, each projected to one token.

    Parameters
    ----------
    name : of the model, for errors.
    frames, bands : size of every input.
    dim : size of a token.
    patch, stride : side of a square, and the way from one to the next, in frames and in bands. What is left over behind
        the last square is not seen.

    Raises
    ------
    RecipeError : the input is smaller than one patch.
    """

    def __init__(self, name: str, frames: int, bands: int, dim: int, patch: int, stride: int) -> None:
        super().__init__()
        if stride < 1 or not 1 <= patch <= min(frames, bands):
            raise RecipeError(
                f"{name} cuts patches of {patch} × {patch}, {stride} apart, and got {frames} frames × {bands} bands.",
                "Use a longer window (clips.window_s) or more bands, or a smaller model.patch.",
            )
        self.stride = stride
        self.grid = ((frames - patch) // stride + 1, (bands - patch) // stride + 1)  # along frames, along bands
        self.projection = nn.Conv2d(1, dim, patch, stride)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """Tokens (batch, dim, grid frames, grid bands) of features (batch, frames, bands)."""
        tokens: torch.Tensor = self.projection(blank(features.unsqueeze(1), lengths))
        return tokens

    def valid(self, lengths: torch.Tensor) -> torch.Tensor:
        """Which steps along time begin within the clip (the first always does), bool (batch, grid frames)."""
        starts = self.stride * torch.arange(self.grid[0], device=lengths.device)
        return starts < lengths.clamp(min=1)[:, None]


class Attention(nn.Module):
    """Scaled dot-product self-attention with several heads (arXiv:1706.03762), `dim / heads` numbers each."""

    def __init__(self, dim: int, heads: int, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.projections = nn.Linear(dim, 3 * dim, bias=bias)
        self.output = nn.Linear(dim, dim)

    def forward(self, tokens: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """(batch, tokens, dim)."""
        _, count, dim = tokens.shape
        query, key, value = (  # each (batch, heads, tokens, dim / heads); never five axes, which ncnn does not have
            part.reshape(-1, count, self.heads, dim // self.heads).transpose(1, 2)
            for part in self.projections(tokens).chunk(3, dim=-1)
        )
        mask = None if valid is None else valid[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        attended: torch.Tensor = self.output(mixed.transpose(1, 2).reshape(-1, count, dim))
        return attended


class Block(nn.Module):
    """Self-attention and a dense layer with GELU, each with a shortcut and layer normalisation.

    Parameters
    ----------
    dim, heads, hidden : size of a token, number of heads, size of the dense layer.
    first : normalise in front of each half (pre-norm) instead of behind its shortcut (post-norm).
    bias : whether queries, keys and values have one.
    dropout : behind attention and behind each dense layer.
    epsilon : of the normalisation.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        hidden: int,
        *,
        first: bool,
        bias: bool = True,
        dropout: float = 0.0,
        epsilon: float = 1e-5,
    ) -> None:
        super().__init__()
        self.first = first
        self.attention = Attention(dim, heads, bias)
        self.attention_norm = nn.LayerNorm(dim, eps=epsilon)
        self.dense = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim), nn.Dropout(dropout)
        )
        self.dense_norm = nn.LayerNorm(dim, eps=epsilon)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """(batch, tokens, dim)."""
        if self.first:
            tokens = tokens + self.dropout(self.attention(self.attention_norm(tokens), valid))
            dense: torch.Tensor = self.dense(self.dense_norm(tokens))
            return tokens + dense
        tokens = self.attention_norm(tokens + self.dropout(self.attention(tokens, valid)))
        normed: torch.Tensor = self.dense_norm(tokens + self.dense(tokens))
        return normed


def learned(*size: int) -> nn.Parameter:
    """A learned token or learned positions, from a normal distribution of deviation 0.02 cut at two units."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(*size), std=0.02))


def initialise(network: nn.Module) -> None:
    """Dense weights from a normal distribution of deviation 0.02, zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
