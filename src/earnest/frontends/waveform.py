"""The samples themselves, for models that learn their own front end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from earnest.frontends._base import FrontEnd as Base
from earnest.frontends._framing import Count


@dataclass(frozen=True)
class Config:
    """How samples become frames.

    Parameters
    ----------
    frame_samples : samples per frame; they stand side by side as its bands. A rest that fills no frame is left out.
    """

    frame_samples: Count = 1


class Framed(nn.Module):
    """(batch, samples) → (batch, samples // width, width)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Frames side by side, as a view of the samples."""
        return audio.unsqueeze(-1) if self.width == 1 else audio.unfold(1, self.width, self.width)


class FrontEnd(Base):
    """(batch, samples) → (batch, samples // frame_samples, frame_samples), unchanged values."""

    worth_keeping = False

    def __init__(self, config: Config, sample_rate: int) -> None:
        super().__init__(config, sample_rate)
        self.bands = self.min_samples = config.frame_samples
        self.framed = Framed(config.frame_samples)

    def frames_for(self, samples: int) -> int:
        """How many frames come out of `samples` samples."""
        return samples // self.bands

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Samples as frames; (batch, samples) → (batch, frames, bands).

        Raises
        ------
        DataError : the audio is not (batch, samples) floats, or shorter than one frame.
        """
        self.check(audio)
        framed: torch.Tensor = self.framed(audio.float())
        return framed

    def for_export(self) -> nn.Module:
        """The same without looking at shapes, with dynamic batch and dynamic samples."""
        return self.framed
