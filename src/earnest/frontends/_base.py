"""What every front end offers, so that models, training and export need to know no more than this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from earnest.errors import DataError
from earnest.frontends._framing import Framing

Features = torch.Tensor | tuple[torch.Tensor, ...]
"""One tensor (…, frames, bands), or one for each channel of a front end that has several."""

Size = int | tuple[int, ...]
"""A number of frames or bands, or one for each channel."""


def per_channel(function: Callable[..., torch.Tensor], features: Features, *others: Any) -> Features:
    """A function of one tensor (and of what belongs to it), taken of each channel, or of the only one."""
    if isinstance(features, tuple):
        return tuple(function(*each) for each in zip(features, *others, strict=True))
    return function(features, *others)


class FrontEnd(nn.Module):
    """A fixed transform from samples to features.

    Attributes
    ----------
    config : the part's own frozen dataclass of numbers.
    sample_rate : samples per second (Hz) of the audio it takes.
    bands : width of the features (last axis of the output).
    min_samples : the shortest input it takes, in samples.
    framing : how the audio is cut into frames, where each frame is a spectrum or made from one; else None.
    exportable : whether `for_export` gives a module that ONNX can hold; a run without it ships no bundle.
    worth_keeping : whether reading the features again is cheaper than computing them.
    """

    config: Any
    sample_rate: int
    bands: int
    min_samples: int
    framing: Framing | None = None
    exportable: bool = True
    worth_keeping: bool = True

    def __init__(self, config: Any, sample_rate: int) -> None:
        super().__init__()
        self.config = config
        self.sample_rate = sample_rate

    def frames_for(self, samples: int) -> int:
        """How many frames come out of `samples` samples."""
        raise TypeError(f"{type(self).__name__} must say how many frames come out of {samples} samples")

    def for_export(self) -> nn.Module:
        """A module with the same numbers that exports to ONNX with dynamic batch and dynamic samples."""
        return self

    def vary(self, features: Features, change: Callable[[torch.Tensor], torch.Tensor]) -> Features:
        """Features of one clip after a change that is meant for spectrograms (frames, bands)."""
        return per_channel(change, features)

    def check(self, audio: torch.Tensor) -> None:
        """Make sure that audio is (batch, samples), floating, and long enough.

        Raises
        ------
        DataError : wrong number of axes, integer samples, or fewer than `min_samples` samples.
        """
        if audio.ndim != 2 or not audio.is_floating_point():
            raise DataError(
                f"the front end got {audio.dtype} of shape {tuple(audio.shape)}, expected floats (batch, samples).",
                "Give mono audio as floats in -1…1, one clip per row.",
            )
        if audio.shape[1] < self.min_samples:
            raise DataError(
                f"the front end got {audio.shape[1]} samples, its shortest input is {self.min_samples}.",
                f"Pad the clip with zeros at its end to {self.min_samples} samples.",
            )
