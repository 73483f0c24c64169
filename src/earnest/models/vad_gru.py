"""A small recurrent network that answers for every frame as it comes, with all that it remembers in one vector.

    features ─ conv k5 ─ separable conv k5 ─ GRU ─ GRU ─ dense ─► logits of every frame

Our own, in the manner of small detectors of voice activity (convolutions along time, then recurrent layers, as in
Silero's): batch norm and ReLU behind each convolution, a shortcut around the second one. Nothing looks ahead. What a
later frame needs of earlier ones (the last frames before each convolution, the outputs of the recurrent layers) is the
network's state, (batch, `state_size`), so that a stream in pieces gives the same numbers as the whole.

With 40 bands, 64 channels and two layers of 64 units: 67,522 parameters, and 66,496 multiply-adds for each frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models import Example
from earnest.models._recurrent import Direction

SHAPE = "frames"
FIXED_INPUT = False
EXAMPLE = Example()


@dataclass(frozen=True)
class Config:
    """The architecture's numbers.

    Attributes
    ----------
    channels : of the convolutions.
    kernel : of both of them, in frames, at least 2.
    hidden : units of each recurrent layer.
    layers : recurrent layers.
    dropout : in front of each recurrent layer and of the last dense one.
    """

    channels: int = 64
    kernel: int = 5
    hidden: int = 64
    layers: int = 2
    dropout: float = 0.1


class Model(nn.Module):
    """Log-mel frames to logits of every frame, for any number of frames.

    Raises
    ------
    RecipeError : a number is below 1, or the kernel below 2.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        if min(config.channels, config.kernel - 1, config.hidden, config.layers) < 1:
            raise RecipeError(
                f"vad_gru needs numbers of at least 1, and a kernel of at least 2; got {config}.",
                "Example: model.hidden=64 model.kernel=5",
            )
        channels, kernel, hidden = config.channels, config.kernel, config.hidden
        self.first = nn.Conv1d(bands, channels, kernel, bias=False)
        self.first_norm = nn.BatchNorm1d(channels)
        self.depthwise = nn.Conv1d(channels, channels, kernel, groups=channels, bias=False)
        self.pointwise = nn.Conv1d(channels, channels, 1, bias=False)
        self.second_norm = nn.BatchNorm1d(channels)
        sizes = [channels] + [hidden] * (config.layers - 1)
        self.recurrent = nn.ModuleList(Direction("GRU", size, hidden) for size in sizes)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(hidden, outputs)
        self.kept = kernel - 1  # frames before a convolution's own
        self.parts = [self.kept * bands, self.kept * channels] + [hidden] * config.layers
        self.state_size = sum(self.parts)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, frames, outputs) of features (batch, frames, bands); those beyond `lengths` mean nothing."""
        return self.step(features, features.new_zeros(features.shape[0], self.state_size))[0]

    def step(self, features: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the next frames, and the state behind them.

        Parameters
        ----------
        features : (batch, frames, bands), at least one frame.
        state : (batch, state_size) as the step before gave it; zeros at the beginning.
        """
        before, between, *hidden = torch.split(state, self.parts, dim=1)
        frames = features.transpose(1, 2)  # (batch, bands, frames)
        joined = torch.cat([before.reshape(-1, frames.shape[1], self.kept), frames], dim=2)
        first = functional.relu(self.first_norm(self.first(joined)))  # (batch, channels, frames)
        behind = torch.cat([between.reshape(-1, first.shape[1], self.kept), first], dim=2)
        second = self.second_norm(self.pointwise(self.depthwise(behind)))
        sequence = functional.relu(first + second).transpose(1, 2)  # (batch, frames, channels)
        after = [joined[:, :, -self.kept :].flatten(1), behind[:, :, -self.kept :].flatten(1)]
        for layer, old in zip(self.recurrent, hidden, strict=True):
            sequence = layer(self.dropout(sequence), old)
            after.append(sequence[:, -1])
        logits: torch.Tensor = self.output(self.dropout(sequence))
        return logits, torch.cat(after, dim=1)
