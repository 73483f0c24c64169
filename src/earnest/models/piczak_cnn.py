"""Piczak's CNN: tall kernels over a log-mel spectrogram and its Δ, laid on each other as two channels.

K. J. Piczak, "Environmental Sound Classification with Convolutional Neural Networks", IEEE MLSP 2015: Conv 80 @ 57 × 6
(bands × frames), ReLU, MaxPool 4 × 3 stride 1 × 3, dropout; Conv 80 @ 1 × 3, ReLU, MaxPool 1 × 3 stride 1 × 3; two
dense layers of 5000 with ReLU and dropout 0.5; dense. Made for 60 bands and segments of 41 frames (short) or 101 frames
(long): 26,534,130 and 29,334,130 parameters at 50 outputs. The paper trains by SGD with Nesterov momentum 0.9, weight
decay 1e-3 and a rate of 0.002 (short) or 0.01 (long), and scores a clip by the mean probability of its segments.

The input is one row per frame: 60 static values, then their Δ, as front ends with `order: 2` give them. For other
numbers of bands the first kernel is always three bands lower than the spectrogram, as 57 is below 60.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models import Example
from earnest.models._masking import blank

SHAPE = "clip"
FIXED_INPUT = True
EXAMPLE = Example(frames=41, bands=40, options={"channels": 16, "hidden": 64}, learning_rate=1e-3)
FIRST_FRAMES, SECOND_FRAMES = 6, 3  # kernels along time
POOL_FRAMES, POOL_BANDS = 3, 4
SMALLEST_FRAMES = 20  # what leaves one frame behind both pools


@dataclass(frozen=True)
class Config:
    """The architecture's numbers.

    Attributes
    ----------
    planes : channels that lie side by side in a frame: 2 for static values and Δ, 1 for static values alone.
    channels : of both convolutions.
    hidden : of both dense layers.
    dropout : behind the first pool and both dense layers.
    """

    planes: int = 2
    channels: int = 80
    hidden: int = 5000
    dropout: float = 0.5


class Model(nn.Module):
    """Log-mel segments with their Δ, of one fixed length, to logits.

    Parameters
    ----------
    config : the architecture's numbers.
    frames : of every segment, 41 or 101 in the paper, at least 20.
    bands : of all planes together, 120 in the paper; a multiple of `planes`, at least 4 each.
    outputs : number of logits.

    Raises
    ------
    RecipeError : too few frames or bands, or bands that the planes do not divide.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        self.planes = config.planes
        height, rest = divmod(bands, config.planes)
        if rest or height < POOL_BANDS:
            raise RecipeError(
                f"piczak_cnn takes {config.planes} planes of at least {POOL_BANDS} bands side by side, "
                f"got {bands} bands.",
                "Use a front end with static values and Δ (order: 2), or model.planes=1 for static values alone.",
            )
        if frames < SMALLEST_FRAMES:
            raise RecipeError(
                f"piczak_cnn needs at least {SMALLEST_FRAMES} frames, got {frames}.",
                "Use a longer window (clips.window_s) or a shorter hop; the paper has 41 or 101 frames.",
            )
        self.first = nn.Conv2d(config.planes, config.channels, (FIRST_FRAMES, height - POOL_BANDS + 1))
        self.second = nn.Conv2d(config.channels, config.channels, (SECOND_FRAMES, 1))
        left = ((frames - FIRST_FRAMES + 1) // POOL_FRAMES - SECOND_FRAMES + 1) // POOL_FRAMES
        self.third = nn.Linear(config.channels * left, config.hidden)
        self.fourth = nn.Linear(config.hidden, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden, outputs)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The second dense layer (batch, hidden) of features (batch, frames, planes × bands)."""
        planes = features.reshape(*features.shape[:2], self.planes, -1)  # (batch, frames, planes, bands)
        image = blank(planes.transpose(1, 2), lengths)  # (batch, planes, frames, bands)
        image = functional.relu(self.first(image))  # (batch, channels, frames - 5, 4)
        image = self.dropout(functional.max_pool2d(image, (POOL_FRAMES, POOL_BANDS), (POOL_FRAMES, 1)))
        image = functional.relu(self.second(image))  # (batch, channels, frames, 1) from here on
        image = functional.max_pool2d(image, (POOL_FRAMES, 1))
        hidden = self.dropout(functional.relu(self.third(image.flatten(1))))
        return functional.relu(self.fourth(hidden))

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, planes × bands)."""
        logits: torch.Tensor = self.output(self.dropout(self.embed(features, lengths)))
        return logits
