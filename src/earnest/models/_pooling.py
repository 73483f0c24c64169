"""From a sequence to one vector (mean, maximum, both, two kinds of attention), and from an image to fixed cells.

Each pooling is a module (batch, frames, dim) → (batch, dim) that also takes `lengths` (batch,), the number of valid
frames, and leaves out what lies beyond; `lengths=None` says that every frame is valid. A length of 0 counts as 1. A
model's `Config` names its pooling by a `PoolingName`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from earnest.errors import RecipeError, did_you_mean

PoolingName = Literal["mean", "max", "mean+max", "attention", "panns"]
CLAMP = 10.0


def valid_frames(sequence: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Which frames of a sequence (batch, frames, dim) are valid, bool (batch, frames); the first always is."""
    lengths = lengths.to(sequence.device).clamp(min=1)
    return torch.arange(sequence.shape[1], device=sequence.device) < lengths[:, None]


def blank_frames(sequence: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """The sequence (batch, frames, dim) with zeros in the frames beyond `lengths`."""
    if lengths is None:
        return sequence
    return torch.where(valid_frames(sequence, lengths)[:, :, None], sequence, sequence.new_zeros(()))


def mean_pool(sequence: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
    """Mean over valid frames, (batch, frames, dim) to (batch, dim)."""
    if lengths is None:
        return sequence.mean(dim=1)
    count = lengths.to(sequence.device).clamp(min=1)[:, None].to(sequence.dtype)
    return blank_frames(sequence, lengths).sum(dim=1) / count


def max_pool(sequence: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
    """Largest value over valid frames, (batch, frames, dim) to (batch, dim)."""
    if lengths is not None:
        valid = valid_frames(sequence, lengths)[:, :, None]
        sequence = sequence.masked_fill(~valid, torch.finfo(sequence.dtype).min)
    return sequence.amax(dim=1)


def softmax_over_frames(scores: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Weights that sum to 1 over valid frames, (batch, frames, dim) of the same size; zero beyond `lengths`."""
    if lengths is not None:
        valid = valid_frames(scores, lengths)[:, :, None]
        scores = scores.masked_fill(~valid, -torch.inf)
    return scores.softmax(dim=1)


def cell_weights(sizes: torch.Tensor, positions: int, cells: int) -> torch.Tensor:
    """Weights (batch, cells, positions) that average the first `sizes` (batch,) of so many positions into cells.

    Cell i holds the positions from floor(i · size / cells) up to ceil((i + 1) · size / cells), as in PyTorch's adaptive
    pooling, which exports for one size only.
    """
    sizes = sizes.clamp(min=1)[:, None]
    cell = torch.arange(cells, device=sizes.device)
    first = torch.div(cell * sizes, cells, rounding_mode="floor")[:, :, None]
    last = torch.div((cell + 1) * sizes + cells - 1, cells, rounding_mode="floor")[:, :, None]
    position = torch.arange(positions, device=sizes.device)
    inside = (position >= first) & (position < last)
    return inside / (last - first)


def adaptive_mean(image: torch.Tensor, lengths: torch.Tensor | None, cells: tuple[int, int]) -> torch.Tensor:
    """Means over a fixed number of cells: (batch, channels, frames, bands) to (batch, channels, *cells)."""
    frames, bands = image.shape[2:]
    if lengths is None:
        lengths = torch.full((1,), frames)
    along_frames = cell_weights(lengths.to(image.device), frames, cells[0]).to(image.dtype)
    along_bands = cell_weights(torch.full((1,), bands, device=image.device), bands, cells[1]).to(image.dtype)
    return along_frames[:, None] @ image @ along_bands[0].T


class Mean(nn.Module):
    """Mean over valid frames."""

    def forward(self, sequence: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, frames, dim) to (batch, dim)."""
        return mean_pool(sequence, lengths)


class Max(nn.Module):
    """Maximum over valid frames."""

    def forward(self, sequence: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, frames, dim) to (batch, dim)."""
        return max_pool(sequence, lengths)


class MeanMax(nn.Module):
    """Mean plus maximum over valid frames (arXiv:1912.10211): lasting textures and short events both count."""

    def forward(self, sequence: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, frames, dim) to (batch, dim)."""
        return mean_pool(sequence, lengths) + max_pool(sequence, lengths)


class Attention(nn.Module):
    """Self-attentive pooling: a = softmax over t of vᵀ·tanh(W·h_t + b), z = Σ a_t·h_t.

    Z. Lin et al., "A Structured Self-attentive Sentence Embedding", arXiv:1703.03130, equation 5, with one head and a
    bias.

    Parameters
    ----------
    dim : size of one frame.
    hidden : size of the inner layer; `dim` when left out.
    """

    def __init__(self, dim: int, hidden: int | None = None) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, hidden or dim)
        self.score = nn.Linear(hidden or dim, 1, bias=False)

    def weights(self, sequence: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Attention a (batch, frames, 1), which sums to 1 over valid frames."""
        scores: torch.Tensor = self.score(self.hidden(sequence).tanh())
        return softmax_over_frames(scores, lengths)

    def forward(self, sequence: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, frames, dim) to (batch, dim)."""
        sequence = blank_frames(sequence, lengths)
        return (self.weights(sequence, lengths) * sequence).sum(dim=1)


class PannsAttention(nn.Module):
    """PANNs' attention block: z = Σ_t softmax over t of clamp(U·h_t, ±10) · sigmoid(V·h_t), one weight per dimension.

    Q. Kong et al., "PANNs", arXiv:1912.10211, and their reference code; U and V are the 1×1 convolutions there. With
    `outputs` classes it gives probabilities (batch, outputs) in place of a last layer.

    Parameters
    ----------
    dim : size of one frame.
    outputs : size of the result; `dim` when left out.
    """

    def __init__(self, dim: int, outputs: int | None = None) -> None:
        super().__init__()
        self.attention = nn.Linear(dim, outputs or dim)
        self.value = nn.Linear(dim, outputs or dim)

    def forward(self, sequence: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, frames, dim) to (batch, outputs), each value between 0 and 1."""
        sequence = blank_frames(sequence, lengths)
        weights = softmax_over_frames(self.attention(sequence).clamp(-CLAMP, CLAMP), lengths)
        pooled: torch.Tensor = (weights * self.value(sequence).sigmoid()).sum(dim=1)
        return pooled


_POOLINGS: dict[str, Callable[[int], nn.Module]] = {
    "mean": lambda dim: Mean(),
    "max": lambda dim: Max(),
    "mean+max": lambda dim: MeanMax(),
    "attention": Attention,
    "panns": PannsAttention,
}


def build_pooling(name: str, dim: int) -> nn.Module:
    """The named pooling of (batch, frames, dim) to (batch, dim), called with the sequence and `lengths`.

    Raises
    ------
    RecipeError : unknown name.
    """
    if name not in _POOLINGS:
        raise RecipeError(f"unknown pooling {name!r}.", did_you_mean(name, _POOLINGS))
    return _POOLINGS[name](dim)
