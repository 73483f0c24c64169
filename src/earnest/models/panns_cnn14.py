"""Cnn14 of PANNs: twelve 3×3 convolutions in six blocks, 80.8 million parameters.

Q. Kong et al., arXiv:1912.10211, table 1: 6 × [Conv 3×3, BN, ReLU] × 2 with 64, 128, 256, 512, 1024 and 2048 channels,
each but the last followed by the mean over 2 × 2 cells, dropout 0.2; mean over bands; mean plus maximum over time;
dropout 0.5; dense 2048 ReLU; dense. 80,753,615 parameters with 64 bands and 527 outputs. The input, the common parts
and the one deviation are told in `earnest.models._panns`. Needs at least 32 bands.
"""

from __future__ import annotations

from dataclasses import dataclass

from earnest.models import Example
from earnest.models._panns import ConvNetwork

SHAPE = "clip"
FIXED_INPUT = False
EXAMPLE = Example(options={"widths": (8, 8, 16, 16, 32, 32)})


@dataclass(frozen=True)
class Config:
    """Channels of the six blocks; dropout behind each block, and in front of the dense layer."""

    widths: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)
    dropout: float = 0.2
    dropout_dense: float = 0.5


class Model(ConvNetwork):
    """Log-mel frames to logits, for any number of frames; `bands` binds.

    Raises
    ------
    RecipeError : fewer than 32 bands, or not six widths.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__(
            "panns_cnn14",
            widths=config.widths,
            pools=(2, 2, 2, 2, 2, 1),
            kernel=3,
            count=2,
            dropout=config.dropout,
            dropout_dense=config.dropout_dense,
            bands=bands,
            outputs=outputs,
        )
