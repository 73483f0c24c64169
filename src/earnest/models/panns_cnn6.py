"""Cnn6 of PANNs: four 5×5 convolutions, 4.8 million parameters.

Q. Kong et al., arXiv:1912.10211, table 1: 4 × [Conv 5×5, BN, ReLU] with 64, 128, 256 and 512 channels, each followed by
the mean over 2 × 2 cells and dropout 0.2; mean over bands; mean plus maximum over time; dropout 0.5; dense 512 ReLU;
dense. 4,837,455 parameters with 64 bands and 527 outputs. The input, the common parts and the one deviation are told in
`earnest.models._panns`. Needs at least 16 bands.
"""

from __future__ import annotations

from dataclasses import dataclass

from earnest.models import Example
from earnest.models._panns import ConvNetwork

SHAPE = "clip"
FIXED_INPUT = False
EXAMPLE = Example(options={"widths": (8, 16, 16, 32)})


@dataclass(frozen=True)
class Config:
    """Channels of the four blocks; dropout behind each block, and in front of the dense layer."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    dropout: float = 0.2
    dropout_dense: float = 0.5


class Model(ConvNetwork):
    """Log-mel frames to logits, for any number of frames; `bands` binds.

    Raises
    ------
    RecipeError : fewer than 16 bands, or not four widths.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__(
            "panns_cnn6",
            widths=config.widths,
            pools=(2, 2, 2, 2),
            kernel=5,
            count=1,
            dropout=config.dropout,
            dropout_dense=config.dropout_dense,
            bands=bands,
            outputs=outputs,
        )
