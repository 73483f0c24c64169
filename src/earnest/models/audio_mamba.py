"""Audio Mamba: patches of a spectrogram through selective state spaces that read in both directions.

M. H. Erol, A. Senocak, J. Feng, J. S. Chung, "Audio Mamba: Bidirectional State Space Model for Audio Representation
Learning", arXiv:2406.03344, and the authors' code. Conv 16×16 stride 16 makes the tokens, along time first and then
along the bands; a class token stands in the middle; learned positions; 24 blocks x + f(RMSNorm(x)), where f is a dense
layer to twice 2 · dim, of which one half goes through [depthwise Conv1d k4, SiLU, selective scan] forwards and
backwards, is gated by SiLU of the other half, and a dense layer back; RMSNorm; dense. The scan is in
`earnest.models._selective_scan`.

`directions="shared"` is the form of the authors' base models (Fo-Bi): convolution and projections run forwards once and
only the rates are two; `separate` (Bi-Bi, as in Vision Mamba, arXiv:2401.09417) has two of everything. With 1024 frames
× 128 bands and 527 outputs `base` shared has 92.1 million parameters and `small` separate 25.5 million, as published.

Deviations: both forms take the mean of the two directions (the authors' `shared` takes the sum, which the next dense
layer makes equal). Positions are learned for the built number of frames, and no other is taken. On a CPU the scan is
what takes time: fewer blocks and states (depth 6, states 8) cost about a sixth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models import Example
from earnest.models._selective_scan import BothWays
from earnest.models._vit import Patches, learned

SHAPE = "clip"
FIXED_INPUT = True
EXAMPLE = Example(options={"depth": 2, "states": 4}, learning_rate=1e-3)
DIM = {"tiny": 192, "small": 384, "base": 768}


@dataclass(frozen=True)
class Config:
    """The architecture's numbers.

    Attributes
    ----------
    size : width of a token: 192, 384 or 768.
    depth : number of blocks.
    patch, stride : side of a patch and the way to the next, in frames and bands.
    directions : how much the two directions share.
    states : numbers in each channel's state.
    """

    size: Literal["tiny", "small", "base"] = "tiny"
    depth: int = 24
    patch: int = 16
    stride: int = 16
    directions: Literal["shared", "separate"] = "shared"
    states: int = 16


class Block(nn.Module):
    """x + f(RMSNorm(x)) on (batch, tokens, dim), f being the gated state space in both directions."""

    def __init__(self, dim: int, states: int, directions: str, depth: int) -> None:
        super().__init__()
        inner, rank = 2 * dim, -(-dim // 16)
        self.norm = nn.RMSNorm(dim, eps=1e-5)
        self.first = nn.Linear(dim, 2 * inner, bias=False)
        self.ways = BothWays(inner, states, rank, shared=directions == "shared")
        self.last = nn.Linear(inner, dim, bias=False)
        with torch.no_grad():
            self.last.weight /= depth**0.5  # what the blocks add up to does not grow with their number

    def forward(self, tokens: torch.Tensor, valid: torch.Tensor | None) -> torch.Tensor:
        """(batch, tokens, dim)."""
        values, gate = self.first(self.norm(tokens)).chunk(2, dim=2)  # each (batch, tokens, inner)
        scanned = self.ways(values, valid)
        mixed: torch.Tensor = self.last(scanned.to(gate.dtype) * functional.silu(gate))
        return tokens + mixed


class Model(nn.Module):
    """Fixed-size filter-bank clips to logits.

    Parameters
    ----------
    config : the architecture's numbers.
    frames, bands : size of every input, at least one patch.
    outputs : number of logits.

    Raises
    ------
    RecipeError : an input smaller than one patch, no blocks or no states.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        if config.depth < 1 or config.states < 1:
            raise RecipeError(
                f"audio_mamba needs blocks and states, got depth {config.depth} and states {config.states}.",
                "The paper has depth 24 and states 16.",
            )
        dim = DIM[config.size]
        self.patches = Patches("audio_mamba", frames, bands, dim, config.patch, config.stride)
        steps, rows = self.patches.grid
        self.middle = steps * rows // 2
        self.class_token = learned(1, 1, dim)
        self.positions = learned(1, steps * rows + 1, dim)
        self.blocks = nn.ModuleList(
            Block(dim, config.states, config.directions, config.depth) for _ in range(config.depth)
        )
        self.norm = nn.RMSNorm(dim, eps=1e-5)
        self.output = nn.Linear(dim, outputs)
        nn.init.trunc_normal_(self.output.weight, std=0.02)
        nn.init.zeros_(self.output.bias)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The class token's last state (batch, dim) for features (batch, frames, bands)."""
        patches = self.patches(features, lengths)  # (batch, dim, steps, rows)
        tokens = self._with_class(patches.transpose(2, 3).flatten(2).transpose(1, 2), self.class_token)
        tokens = tokens + self.positions  # (batch, rows · steps + 1, dim)
        valid = None
        if lengths is not None:
            steps = self.patches.valid(lengths.to(features.device)).repeat(1, self.patches.grid[1])
            valid = self._with_class(steps, steps.new_ones(1, 1))  # (batch, rows · steps + 1)
        for block in self.blocks:
            tokens = block(tokens, valid)
        embedding: torch.Tensor = self.norm(tokens[:, self.middle])
        return embedding

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits

    def _with_class(self, sequence: torch.Tensor, token: torch.Tensor) -> torch.Tensor:
        """The sequence along dimension 1 with one more in the middle."""
        token = token.expand(sequence.shape[0], *token.shape[1:])  # len() would fix the batch of an exported graph
        return torch.cat([sequence[:, : self.middle], token, sequence[:, self.middle :]], dim=1)
