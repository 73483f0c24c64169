"""A pretrained speech encoder (wav2vec 2.0, HuBERT, WavLM) with a small head, on the samples themselves.

The hidden states of `_speech_encoder` are averaged over the clip's valid frames; then Linear, tanh, dropout, Linear.
The encoder's weights come from a hub name or a folder and are kept in each fold's checkpoint and in the exported file.
They expect 16 kHz.

The base model of the reference counts 95.0 million parameters with the quantiser and the projections of its
pretraining, the large one 317.4 million; what is used here is 94.4 and 315.4 million, and the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from earnest.errors import RecipeError
from earnest.models import Example
from earnest.models._pooling import mean_pool
from earnest.models._speech_encoder import EncoderConfig, SpeechEncoder
from earnest.recipe import Part

SHAPE = "clip"
FIXED_INPUT = False
EXAMPLE = Example(
    frames=800,
    bands=1,
    options={"source": "untrained", "size": "tiny", "mode": "finetune", "dropout": 0.0},
    frontend=Part(name="waveform"),
)


@dataclass(frozen=True)
class Config(EncoderConfig):
    """The encoder, see `EncoderConfig`, and the head.

    Attributes
    ----------
    hidden : size of the head's first layer; None is the encoder's own width.
    dropout : in front of the head's last layer.
    """

    hidden: int | None = None
    dropout: float = 0.1


class Model(nn.Module):
    """Samples to logits, for any number of samples.

    Raises
    ------
    RecipeError : the front end gives no samples, or fewer than give one frame; or as for `SpeechEncoder`.
    MissingExtra : transformers is not installed.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        if bands != 1:
            raise RecipeError(
                f"a speech encoder takes the samples themselves; the front end gives {bands} bands.",
                "Set frontend=waveform.",
            )
        self.encoder = SpeechEncoder(config)
        if frames < self.encoder.min_samples:
            raise RecipeError(
                f"{frames} samples are too few for the encoder, which makes a frame of {self.encoder.min_samples}.",
                "Make clips.window_s longer.",
            )
        self.hidden = nn.Linear(self.encoder.width, config.hidden or self.encoder.width)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(self.hidden.out_features, outputs)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """The head's hidden layer (batch, hidden) of samples (batch, samples, 1)."""
        states, lengths = self.encoder(features.squeeze(2), lengths)
        return torch.tanh(self.hidden(mean_pool(states, lengths)))

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of samples (batch, samples, 1)."""
        logits: torch.Tensor = self.output(self.dropout(self.embed(features, lengths)))
        return logits
