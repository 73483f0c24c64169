"""The baseline CNN of FSDnoisy18k: three pre-activated convolutions on log-mel patches of two seconds.

E. Fonseca, M. Plakal, D. P. W. Ellis, F. Font, X. Favory, X. Serra, "Learning Sound Event Classifiers from Web Audio
with Noisy Labels", arXiv:1901.01189, and the authors' code: 3 × [BN, ReLU, Conv 5×5 "same", BN, ReLU] with 24,
48 and 48 filters, the first two followed by MaxPool of 4 frames × 2 bands; flatten, dropout 0.5, dense 64 ReLU, dropout
0.5, dense. Made for 100 frames (40 ms windows, half overlapping) × 96 bands, where it has 531,624 weights at 20
outputs, the running means and variances of batch normalisation (386) counted as the authors do. He-normal weights.

The authors put an L2 penalty of 1e-3 on the dense layers alone; here that is the recipe's weight decay. They combine
the patches of a clip by the geometric mean of their probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models import Example
from earnest.models._masking import after_layer, blank

SHAPE = "clip"
FIXED_INPUT = True
EXAMPLE = Example(learning_rate=1e-3)
FILTERS = (24, 48, 48)
POOL = (4, 2)  # frames, bands


@dataclass(frozen=True)
class Config:
    """Size of the dense layer, and dropout before and behind it."""

    hidden: int = 64
    dropout: float = 0.5


class Layer(nn.Module):
    """[BN, ReLU, Conv 5×5, BN, ReLU] on (batch, channels, frames, bands)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before_norm = nn.BatchNorm2d(before)
        self.convolution = nn.Conv2d(before, after, 5, padding=2)
        self.after_norm = nn.BatchNorm2d(after)

    def forward(self, image: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """An image of the same size."""
        image = functional.relu(self.before_norm(blank(image, lengths)))
        image = functional.relu(self.after_norm(self.convolution(blank(image, lengths))))
        return blank(image, lengths)


class Model(nn.Module):
    """Fixed-size log-mel patches to logits.

    Parameters
    ----------
    config : the architecture's numbers.
    frames, bands : size of every input; frames are divided by 16 and bands by 4 (rounding down).
    outputs : number of logits.

    Raises
    ------
    RecipeError : fewer than 16 frames or 4 bands.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        if frames < 16 or bands < 4:
            raise RecipeError(
                f"fsdnoisy_cnn pools 16 frames × 4 bands into one: at least that many, got {frames} × {bands}.",
                "Use a longer window (clips.window_s), a shorter hop or more bands (100 × 96 in the paper).",
            )
        self.layers = nn.ModuleList(Layer(before, after) for before, after in zip((1, *FILTERS), FILTERS, strict=False))
        self.dropout = nn.Dropout(config.dropout)
        self.hidden = nn.Linear(FILTERS[-1] * (frames // 4 // 4) * (bands // 2 // 2), config.hidden)
        self.output = nn.Linear(config.hidden, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The dense layer's values (batch, hidden) for features (batch, frames, bands)."""
        image = features.unsqueeze(1)  # (batch, 1, frames, bands)
        for layer in self.layers[:-1]:
            image = functional.max_pool2d(layer(image, lengths), POOL)
            lengths = after_layer(lengths, kernel=POOL[0], stride=POOL[0], padding=0)
        image = self.layers[-1](image, lengths)
        return functional.relu(self.hidden(self.dropout(image.flatten(1))))

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.dropout(self.embed(features, lengths)))
        return logits
