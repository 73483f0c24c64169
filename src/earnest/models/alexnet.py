"""AlexNet on a spectrogram, as one-channel image.

A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997, in torchvision's
form: Conv 64 @ 11×11 stride 4 padding 2, pool; 192 @ 5×5 padding 2, pool; 384, 256 and 256 @ 3×3 padding 1, pool; means
over 6 × 6 cells; dense 4096, 4096 and C with dropout 0.5 in front of the first two. Pools are 3×3 with stride 2, and
ReLU follows each convolution. The first convolution takes one channel, which leaves 57,029,322 parameters at 10
outputs.

An image below 63 frames or bands, of which the pools would leave nothing, is extended by zeros to 63. The weights start
as in K. He et al., arXiv:1502.01852 (torchvision leaves its layers as PyTorch makes them, and they train more slowly).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.models import Example
from earnest.models._initial import he
from earnest.models._masking import after_layer, blank
from earnest.models._pooling import adaptive_mean

SHAPE = "clip"
FIXED_INPUT = False
EXAMPLE = Example(
    frames=96, bands=64, options={"channels": (8, 16, 16, 16, 16), "hidden": 64, "dropout": 0.0}, learning_rate=1e-3
)
CELLS = (6, 6)
SMALLEST = 63  # frames and bands of which the pools leave one
KERNELS = (11, 5, 3, 3, 3)
STRIDES = (4, 1, 1, 1, 1)
PADDINGS = (2, 2, 1, 1, 1)
POOLED = (True, True, False, False, True)


@dataclass(frozen=True)
class Config:
    """Channels of the convolutions, size of both dense layers, and their dropout."""

    channels: tuple[int, int, int, int, int] = (64, 192, 384, 256, 256)
    hidden: int = 4096
    dropout: float = 0.5


class Features(nn.Module):
    """The convolutions, (batch, frames, bands) → (batch, `size`): 9,216 numbers with the reference's channels."""

    def __init__(self, channels: tuple[int, int, int, int, int] = Config.channels) -> None:
        super().__init__()
        sizes = (1, *channels)
        self.convolutions = nn.ModuleList(
            he(nn.Conv2d(sizes[layer], sizes[layer + 1], KERNELS[layer], STRIDES[layer], PADDINGS[layer]))
            for layer in range(len(channels))
        )
        self.size = channels[-1] * CELLS[0] * CELLS[1]

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Means over 6 × 6 cells of valid frames and bands, channel by channel."""
        frames, bands = features.shape[1:]
        image = blank(features.unsqueeze(1), lengths)  # (batch, 1, frames, bands)
        # max() would export the side that the example takes.
        missing = torch.sym_max(SMALLEST - frames, 0)  # type: ignore[no-untyped-call]
        image = functional.pad(image, (0, max(SMALLEST - bands, 0), 0, missing))
        lengths = None if lengths is None else lengths.clamp(min=SMALLEST)
        for layer, convolution in enumerate(self.convolutions):
            image = functional.relu(convolution(blank(image, lengths)))
            lengths = after_layer(lengths, KERNELS[layer], STRIDES[layer], 2 * PADDINGS[layer])
            if POOLED[layer]:
                image = functional.max_pool2d(image, 3, 2)
                lengths = after_layer(lengths, kernel=3, stride=2, padding=0)
        return adaptive_mean(blank(image, lengths), lengths, CELLS).flatten(1)


class Model(nn.Module):
    """Spectrograms to logits, for any number of frames and bands (`frames` and `bands` are not needed)."""

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        self.features = Features(config.channels)
        self.dropout = nn.Dropout(config.dropout)
        self.first = he(nn.Linear(self.features.size, config.hidden))
        self.second = he(nn.Linear(config.hidden, config.hidden))
        self.output = nn.Linear(config.hidden, outputs)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The second dense layer (batch, hidden) of features (batch, frames, bands)."""
        hidden = functional.relu(self.first(self.dropout(self.features(features, lengths))))
        return functional.relu(self.second(self.dropout(hidden)))

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits
