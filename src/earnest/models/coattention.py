"""CA-MSER: a spectrogram, cepstral coefficients and a pretrained speech encoder, fused by co-attention.

H. Zou et al., "Speech Emotion Recognition with Co-attention Based Multi-level Acoustic Information", arXiv:2203.15326.
Three seconds at 16 kHz, in three channels (`frontend: channels` gives them as the reference has them)::

    logarithmic spectrogram, lowest 200 bins ─ AlexNet, 9216 ─ dropout ─ 128 ReLU ─┐
    40 MFCC × 300 frames ─ 2-layer BiLSTM 2 × 256 ─ 153,600 ─ dropout ─ 128 ReLU ──┤ concatenated, 256 ─ 149 ReLU
                                                                                   ▼
    samples ─ wav2vec 2.0 base, 149 × 768 ─ sum of the frames by those weights, 768 ─ dropout ─ 128 ReLU

and the three 128 ─ dropout ─ 128 ReLU ─ dropout ─ 128 ReLU ─ C. The frames' weights are not made to sum to 1, so the
dense layers start with PyTorch's small weights: He's would let the sum over 149 frames decide a new network's answers.

`branches` with one of the first two is the bi-channel form: the other one's 128 makes the weights. `attention: max`
takes the larger of the branches' values in each of the 128 places instead of both (the same thing with one branch). The
encoder is frozen unless `mode` says otherwise. With untrained weights of `source: untrained` the sizes are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models import Example
from earnest.models._pooling import blank_frames
from earnest.models._recurrent import Recurrent
from earnest.models._speech_encoder import EncoderConfig, SpeechEncoder
from earnest.models.alexnet import Features as AlexNet
from earnest.recipe import Part

SHAPE = "clip"
FIXED_INPUT = True
EXAMPLE = Example(
    frames=(41, 41, 3200),
    bands=(129, 20, 1),
    options={
        "source": "untrained",
        "size": "tiny",
        "mode": "finetune",
        "convolutions": (8, 16, 16, 16, 16),
        "bins": 64,
        "units": 16,
        "dense": 32,
        "dropout": 0.0,
        "recurrent_dropout": 0.0,
    },
    learning_rate=1e-3,
    frontend=Part(name="channels", options={"of": [{"name": "spectrogram", "n_fft": 256}, "mfcc", "waveform"]}),
)
Branch = Literal["spectrogram", "mfcc"]


@dataclass(frozen=True)
class Config(EncoderConfig):
    """Branches, fusion and sizes; the encoder as in `EncoderConfig`.

    Attributes
    ----------
    branches : which channels stand before the samples, in the order of the recipe's front ends.
    attention : how the branches make the frames' weights: `co` side by side, `max` the larger value in each place.
    bins : how many of the spectrogram's bins are used, from 0 Hz on.
    convolutions : channels of the AlexNet.
    units, recurrent_dropout : of each direction of the LSTM layers, and between them.
    dense : size of every dense layer.
    dropout : in front of the dense layers.
    """

    branches: Annotated[tuple[Branch, ...], Field(min_length=1, max_length=2)] = ("spectrogram", "mfcc")
    attention: Literal["co", "max"] = "co"
    bins: Annotated[int, Field(ge=1)] = 200
    convolutions: tuple[int, int, int, int, int] = (64, 192, 384, 256, 256)
    units: Annotated[int, Field(ge=1)] = 256
    recurrent_dropout: float = 0.5
    dense: Annotated[int, Field(ge=1)] = 128
    dropout: float = 0.1

    @property
    def takes(self) -> tuple[str, ...]:
        """The channels, in order."""
        return (*self.branches, "waveform")


class Spectrum(nn.Module):
    """The AlexNet branch, (batch, frames, bands) → (batch, `size`)."""

    def __init__(self, config: Config, bands: int) -> None:
        super().__init__()
        if bands < config.bins:
            raise RecipeError(
                f"coattention uses {config.bins} bins of the spectrogram, which has {bands}.",
                f"Set bins to at most {bands}, or the spectrogram's n_fft to at least {2 * config.bins}.",
            )
        self.bins = config.bins
        self.network = AlexNet(config.convolutions)
        self.size = self.network.size

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """Means over 6 × 6 cells, flattened."""
        flat: torch.Tensor = self.network(features[:, :, : self.bins], lengths)
        return flat


class Cepstrum(nn.Module):
    """The recurrent branch, (batch, frames, bands) → (batch, `size`): its outputs at every frame."""

    def __init__(self, config: Config, frames: int, bands: int) -> None:
        super().__init__()
        self.network = Recurrent("LSTM", bands, config.units, 2, bidirectional=True, dropout=config.recurrent_dropout)
        self.size = frames * self.network.size

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """Frames side by side, zeros beyond the clip."""
        return blank_frames(self.network(features, lengths), lengths).flatten(1)


class Model(nn.Module):
    """Channels of a fixed length to logits.

    Raises
    ------
    RecipeError : the last channel is not the samples, a channel is too small, a branch is named twice, or as for
        `SpeechEncoder`.
    MissingExtra : transformers is not installed.
    """

    def __init__(self, config: Config, frames: tuple[int, ...], bands: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        if len(set(config.branches)) < len(config.branches):
            raise RecipeError(f"coattention: the branch {config.branches[0]!r} is named twice.", "Name each once.")
        if bands[-1] != 1:
            raise RecipeError(
                f"the last channel of coattention is the samples; the front end gives {bands[-1]} bands.",
                "Set the last front end to waveform.",
            )
        self.speech = SpeechEncoder(config)
        if frames[-1] < self.speech.min_samples:
            raise RecipeError(
                f"{frames[-1]} samples are too few for the encoder, which makes a frame of {self.speech.min_samples}.",
                "Make clips.window_s longer.",
            )
        self.attention = config.attention
        branches = [
            Spectrum(config, width) if name == "spectrogram" else Cepstrum(config, length, width)
            for name, length, width in zip(config.branches, frames, bands, strict=False)
        ]
        self.branches = nn.ModuleList(branches)
        self.reduced = nn.ModuleList(nn.Linear(branch.size, config.dense) for branch in branches)
        guiding = config.dense if config.attention == "max" else config.dense * len(branches)
        self.guide = nn.Linear(guiding, self.speech.frames_for(frames[-1]))
        self.heard = nn.Linear(self.speech.width, config.dense)
        self.first = nn.Linear(config.dense * (len(branches) + 1), config.dense)
        self.second = nn.Linear(config.dense, config.dense)
        self.output = nn.Linear(config.dense, outputs)
        self.dropout = nn.Dropout(config.dropout)

    def embed(
        self, features: tuple[torch.Tensor, ...], lengths: tuple[torch.Tensor, ...] | None = None
    ) -> torch.Tensor:
        """The second dense layer behind the fusion (batch, dense)."""
        *acoustic, samples = features
        valid = [None] * len(features) if lengths is None else list(lengths)
        parts = [
            functional.relu(reduced(self.dropout(branch(channel, length))))
            for branch, reduced, channel, length in zip(self.branches, self.reduced, acoustic, valid, strict=False)
        ]
        states, frames = self.speech(samples.squeeze(2), valid[-1])  # (batch, frames, width)
        joined = torch.stack(parts).amax(0) if self.attention == "max" else torch.cat(parts, dim=1)
        weights = functional.relu(self.guide(self.dropout(joined)))  # (batch, frames)
        attended = (weights.unsqueeze(1) @ blank_frames(states, frames)).squeeze(1)
        parts.append(functional.relu(self.heard(self.dropout(attended))))
        hidden = functional.relu(self.first(self.dropout(torch.cat(parts, dim=1))))
        return functional.relu(self.second(self.dropout(hidden)))

    def forward(
        self, features: tuple[torch.Tensor, ...], lengths: tuple[torch.Tensor, ...] | None = None
    ) -> torch.Tensor:
        """Logits (batch, outputs) of each channel's (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits
