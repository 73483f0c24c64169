"""tiny_conv, the one-convolution keyword spotter of TensorFlow's micro_speech example: the smallest that is of use.

P. Warden, "Speech Commands", arXiv:1804.03209, and the example `micro_speech` of TensorFlow Lite for Microcontrollers:
Conv 8 @ 10 frames × 8 bands stride 2 with "same" padding, ReLU, dropout 0.5, dense; weights from a normal distribution
of deviation 0.01 cut at two deviations. Made for 49 frames × 40 bands, where it has 16,652 parameters at 4 outputs;
runs in some 20 kB on a microcontroller.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.models import Example
from earnest.models._masking import blank

SHAPE = "clip"
FIXED_INPUT = True
EXAMPLE = Example(frames=49, bands=40)
KERNEL = (10, 8)  # frames, bands
STRIDE = 2


@dataclass(frozen=True)
class Config:
    """Filters of the convolution, and dropout behind it."""

    filters: int = 8
    dropout: float = 0.5


class Model(nn.Module):
    """Fixed-size log-mel or MFCC clips to logits.

    Parameters
    ----------
    config : the architecture's numbers.
    frames, bands : size of every input, at least 1 × 1.
    outputs : number of logits.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        self.padding = (*_same(bands, KERNEL[1]), *_same(frames, KERNEL[0]))
        self.convolution = nn.Conv2d(1, config.filters, KERNEL, STRIDE)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.filters * -(-frames // STRIDE) * -(-bands // STRIDE), outputs)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.trunc_normal_(parameter, std=0.01, a=-0.02, b=0.02)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The filters' answers (batch, filters · frames / 2 · bands / 2) to features (batch, frames, bands)."""
        image = blank(features.unsqueeze(1), lengths)  # (batch, 1, frames, bands)
        image = functional.relu(self.convolution(functional.pad(image, self.padding)))
        return image.flatten(1)  # (batch, filters · frames / 2 · bands / 2)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.dropout(self.embed(features, lengths)))
        return logits


def _same(size: int, kernel: int) -> tuple[int, int]:
    """Padding before and behind an axis as TensorFlow places it, so that ceil(size / stride) outputs come."""
    missing = max((-(-size // STRIDE) - 1) * STRIDE + kernel - size, 0)
    return missing // 2, missing - missing // 2
