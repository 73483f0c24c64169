"""The samples themselves, for models that learn their own front end."""

from __future__ import annotations

from dataclasses import dataclass

import torch

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


class FrontEnd(Base):
    """(batch, samples) → (batch, samples // frame_samples, frame_samples), unchanged values."""

    def __init__(self, config: Config, sample_rate: int) -> None:
        super().__init__(config, sample_rate)
        self.bands = self.min_samples = config.frame_samples

    def frames_for(self, samples: int) -> int:
        """How many frames come out of `samples` samples."""
        return samples // self.bands

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Samples as frames; (batch, samples) → (batch, frames, bands)."""
        if self.bands == 1:
            return audio.unsqueeze(-1)
        return audio.unfold(1, self.bands, self.bands)
