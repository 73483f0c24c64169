"""CNN-ML-Transformer for depression from speech: cnn_transformer with positions, read at every layer.

As cnn_transformer, and: sinusoidal positions are added to the encoder's input, and the outputs of all its layers are
combined by one learned weight per layer. 2,484,410 trainable parameters with 39 × 313 inputs and 2 outputs: three more.
Deviation: the layers' weights start equal (a mean), the original draws them at random.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from earnest.models import Example, cnn_transformer
from earnest.models._encoder import sinusoids

SHAPE = "clip"
FIXED_INPUT = True
EXAMPLE = Example(bands=13, options=cnn_transformer.SMALL)


@dataclass(frozen=True)
class Config(cnn_transformer.Config):
    """Sizes of the blocks and of the encoder, as in cnn_transformer."""


class Model(cnn_transformer.Model):
    """MFCC clips of a fixed length to logits; parameters and errors are those of cnn_transformer."""

    positions: torch.Tensor

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__(config, frames, bands, outputs)
        self.register_buffer("positions", sinusoids(frames // 2, config.width), persistent=False)
        self.layer_weights = nn.Parameter(torch.full((config.layers,), 1.0 / config.layers))

    def encode(self, tokens: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """All layers' outputs in their weighted sum (batch, frames, width), for tokens of the same size."""
        outputs = torch.stack(self.encoder(tokens + self.positions, lengths))
        return torch.einsum("lbfw,l->bfw", outputs, self.layer_weights)
