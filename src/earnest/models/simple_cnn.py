"""Three convolutions and two dense layers: the usual first CNN for log-mel clips of one fixed length.

3 × [Conv 3×3 padding 1, ReLU, MaxPool 2] with 16, 32 and 64 channels, flatten, dense 128 ReLU, dropout 0.3, dense. No
normalisation layers. 1,400,970 parameters for 64 bands × 173 frames (4 s at 22.05 kHz, hop 512) and 10 outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models._masking import after_layer, blank

SHAPE = "clip"
FIXED_INPUT = True
CHANNELS = (16, 32, 64)
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "selu": functional.selu,
}


@dataclass(frozen=True)
class Config:
    """Size of the dense layer, its dropout probability, and the activation (ReLU in the usual network)."""

    hidden: int = 128
    dropout: float = 0.3
    activation: Literal["relu", "gelu", "selu"] = "relu"


class Model(nn.Module):
    """Fixed-size log-mel clips to logits.

    Parameters
    ----------
    config : the architecture's numbers.
    frames, bands : size of every input; each is halved three times (rounding down) and at least 8.
    outputs : number of logits.

    Raises
    ------
    RecipeError : fewer than 8 frames or bands.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        if frames < 8 or bands < 8:
            raise RecipeError(
                f"simple_cnn halves its input three times: at least 8 frames × 8 bands, got {frames} × {bands}.",
                "Use a longer window (clips.window_s), a shorter hop, more bands, or the model ds_cnn.",
            )
        self.activation = ACTIVATIONS[config.activation]
        sizes = (1, *CHANNELS)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in zip(sizes, CHANNELS, strict=False)
        )
        self.hidden = nn.Linear(CHANNELS[-1] * (frames // 8) * (bands // 8), config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden, outputs)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """What the last layer sees, (batch, hidden)."""
        image = features.unsqueeze(1)  # (batch, 1, frames, bands)
        for convolution in self.convolutions:
            image = blank(image, lengths)
            image = blank(convolution(image), lengths)
            image = self._pooled(image)
            lengths = after_layer(lengths, kernel=2, stride=2, padding=0)
        image = blank(image, lengths)
        hidden: torch.Tensor = self.dropout(self.activation(self.hidden(image.flatten(1))))
        return hidden

    def _pooled(self, image: torch.Tensor) -> torch.Tensor:
        """MaxPool 2 of the activated image.

        An activation that never falls can be taken after the maximum, max(f(x)) = f(max(x)), and then touches a quarter
        of the values; GELU falls a little below zero.
        """
        if self.activation is functional.gelu:
            return functional.max_pool2d(functional.gelu(image), 2)
        return self.activation(functional.max_pool2d(image, 2))
