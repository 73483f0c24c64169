"""`model.tflite`: TensorFlow Lite in float32, for phones and small computers.

Audio goes in, one window of fixed length at a batch of one; the front end is inside. Engines fill shorter clips up.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from earnest.runtime.engines.tflite import filled
from earnest.shipping import litert
from earnest.shipping.source import Source

FILE = "model.tflite"
SUMMARY = "TensorFlow Lite, float32"


class Whole(nn.Module):
    """Front end, normaliser and network in one: audio (1, samples) → scores (1, labels)."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.head = source.head
        self.network = source.network

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Audio of one window → what is reported."""
        features = self.head(audio)
        scores: torch.Tensor = self.network(*features) if isinstance(features, tuple) else self.network(features)
        return scores


def write(source: Source, windows: Sequence[np.ndarray], folder: Path) -> dict[str, Path]:
    """Convert the whole model for one window."""
    return {FILE: convert(source, windows, folder / FILE)}


def convert(source: Source, windows: Sequence[np.ndarray], path: Path) -> Path:
    """Write the whole model as a float TFLite file, compared with the model on the first window."""
    window = torch.from_numpy(filled(windows[0], source.inputs.window))
    litert.convert(Whole(source).eval(), (window[None],), path)
    return path
