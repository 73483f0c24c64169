"""Cutting audio into frames: lengths, windows and padding, in integer samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional as F

from earnest.errors import RecipeError

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
WindowName = Literal["hann", "hamming", "blackman", "povey", "rectangular"]
PadMode = Literal["reflect", "constant", "none"]


@dataclass(frozen=True)
class FrameConfig:
    """How audio is cut into windowed frames and turned into spectra.

    Parameters
    ----------
    window_ms, hop_ms : length of a window and distance between two, in milliseconds (cut down to whole samples).
    window_samples, hop_samples : the same in samples; where given, they count instead of the milliseconds.
    n_fft : length of the Fourier transform in samples; default: the next power of two from the window on.
    window : `povey` is Kaldi's (Hann to the power of 0.85).
    periodic : divide the window's cosine by its length (librosa, torch) or by its length - 1 (Kaldi).
    pad : `reflect` and `constant` (zeros) centre frame t on sample t × hop, with n_fft // 2 samples added at both ends;
        `none` starts frame t at sample t × hop and leaves out what fills no whole window.
    drop_last : leave out the last frame (whisper).
    pre_emphasis : x[n] - a × x[n - 1] inside each frame, where x[-1] is x[0] (Kaldi).
    remove_dc : subtract each frame's mean (before pre-emphasis).
    scale : factor on the samples; 32768 brings -1…1 to the range of 16-bit integers.
    power : exponent of the magnitude: 1 amplitude, 2 power.
    """

    window_ms: Positive = 25.0
    hop_ms: Positive = 10.0
    window_samples: Count | None = None
    hop_samples: Count | None = None
    n_fft: Count | None = None
    window: WindowName = "hann"
    periodic: bool = True
    pad: PadMode = "reflect"
    drop_last: bool = False
    pre_emphasis: Annotated[float, Field(ge=0, lt=1)] = 0.0
    remove_dc: bool = False
    scale: Positive = 1.0
    power: Positive = 2.0


def window_function(name: WindowName, samples: int, periodic: bool) -> np.ndarray:
    """A window of `samples` float64 values in 0…1."""
    if samples == 1:
        return np.ones(1)
    phase = 2 * np.pi * np.arange(samples) / (samples if periodic else samples - 1)
    hann = 0.5 - 0.5 * np.cos(phase)
    shapes = {
        "hann": hann,
        "hamming": 0.54 - 0.46 * np.cos(phase),
        "blackman": 0.42 - 0.5 * np.cos(phase) + 0.08 * np.cos(2 * phase),
        "povey": np.clip(hann, 0, None) ** 0.85,
        "rectangular": np.ones(samples),
    }
    return shapes[name]


@dataclass(frozen=True)
class Framing:
    """Frames of `window` samples every `hop`, after padding `left` and `right`; transforms of `n_fft` samples.

    A window shorter than n_fft stands in the middle of the n_fft samples in librosa and torch. Where it stands changes
    the phase only, so here a frame is the window's own samples and the paddings say where the first one starts.
    """

    window: int
    hop: int
    n_fft: int
    left: int
    right: int
    mode: PadMode

    @classmethod
    def of(cls, config: FrameConfig, sample_rate: int) -> Framing:
        """Work the numbers out in samples.

        Raises
        ------
        RecipeError : the window or the hop is shorter than a sample, or the window is longer than n_fft.
        """
        window = config.window_samples or int(config.window_ms * sample_rate / 1000 + 1e-6)
        hop = config.hop_samples or int(config.hop_ms * sample_rate / 1000 + 1e-6)
        if window < 1 or hop < 1:
            raise RecipeError(
                f"a window of {config.window_ms} ms every {config.hop_ms} ms is under one sample at {sample_rate} Hz.",
                "Make window_ms and hop_ms longer, or the sample rate higher.",
            )
        n_fft = config.n_fft or 1 << (window - 1).bit_length()
        if window > n_fft:
            raise RecipeError(
                f"the window has {window} samples at {sample_rate} Hz, the Fourier transform only {n_fft} (n_fft).",
                f"Set n_fft to {1 << (window - 1).bit_length()}, or leave it out.",
            )
        left = right = 0
        if config.pad != "none":
            before = (n_fft - window) // 2
            left = n_fft // 2 - before
            right = n_fft // 2 - (n_fft - window - before)
        if config.drop_last:
            right -= hop
        return cls(window, hop, n_fft, left, right, config.pad)

    @property
    def min_samples(self) -> int:
        """The shortest input that fills one frame and leaves something to reflect."""
        filled = max(1, self.window - self.left - self.right)
        return max(filled, self.left + 1, self.right + 1) if self.mode == "reflect" else filled

    def frames_for(self, samples: int) -> int:
        """How many frames come out of `samples` samples."""
        return max(0, 1 + (samples + self.left + self.right - self.window) // self.hop)

    def pad(self, audio: torch.Tensor, tail: int = 0) -> torch.Tensor:
        """Audio (batch, samples) with this framing's ends put on, and `tail` zeros behind them."""
        if self.right < 0:
            audio = audio[:, : self.right]
        right = max(0, self.right)
        if self.mode != "reflect":
            return F.pad(audio, (self.left, right + tail)) if self.left + right + tail else audio
        # One pass over memory; `F.pad` takes three times as long for the same values.
        before = audio[:, 1 : self.left + 1].flip(1)
        after = audio[:, audio.shape[1] - right - 1 : audio.shape[1] - 1].flip(1)
        return torch.cat([before, audio, after, audio.new_zeros(audio.shape[0], tail)], dim=1)

    def pad_for_export(self, audio: torch.Tensor) -> torch.Tensor:
        """What `pad` gives, in operators whose shapes the exporter can follow for any number of samples."""
        if self.right < 0:
            audio = audio[:, : self.right]
        ends = (self.left, max(0, self.right))
        return F.pad(audio, ends, mode="reflect" if self.mode == "reflect" else "constant")
