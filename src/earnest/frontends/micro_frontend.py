"""The audio front end of TensorFlow Lite Micro, which wake words on microcontrollers such as microWakeWord listen to.

    frames ─ Hann, FFT 512 ─ 40 mel bands 125–7500 Hz ─ root ─ noise subtracted ─ PCAN ─ logarithm ─► 0 … about 26

The library computes in whole numbers and cuts off what is left over; here the same steps are taken in float32, less
what is cut off on average, for a step that jumps would turn rounding errors into other answers (numbers as in
`tensorflow/lite/experimental/microfrontend/lib`). Features are the library's steps times 0.0390625, as in training of
microWakeWord. On words of Speech Commands half of them are the library's to a hundredth of a step and nine of ten to 7
steps; the mean difference is 5 of 670 steps, nearly all of it in bands next to silence. The noise of a band is a first-
order average of its own past, which begins at zero with each clip: for a clip of known length it is one matrix product,
so that the front end runs over whole clips, and exports.

Per-channel energy normalisation: Y. Wang, P. Getreuer, T. Hughes, R. Lyon, R. Saurous, arXiv:1607.05666.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from earnest.errors import RecipeError
from earnest.frontends._framing import FrameConfig, Framing
from earnest.frontends._mel import MelConfig, mel_filters
from earnest.frontends._spectral import SpectralFrontEnd

SAMPLE_RATE, WINDOW_SAMPLES, N_FFT = 16_000, 480, 512
BANDS, F_MIN, F_MAX = 40, 125.0, 7500.0
EVEN_SMOOTHING, ODD_SMOOTHING, REMAINING = 0.025, 0.06, 0.05
STRENGTH, OFFSET = 0.95, 80.0
UNIT = 8.0  # of a magnitude: one step of the library's whole numbers
STEPS_PER_E = 64.0  # of the logarithm
STEP = 0.0390625  # the value of one of them
CUT_OFF, CUT_OFF_SHRUNK = 0.5, 0.75  # what the library loses by whole numbers, as was found by comparing the two
TINY = 1e-6  # keeps the root's slope finite


@dataclass(frozen=True)
class Config:
    """All numbers but one are the library's, with which devices come.

    Parameters
    ----------
    hop_ms : distance between two frames: 10, or 20 for half the arithmetic; devices call it the feature step size.
    """

    hop_ms: int = 10


class FrontEnd(SpectralFrontEnd):
    """(batch, samples) → (batch, frames, 40); frame t begins at sample t × hop, and the last one is whole.

    Raises
    ------
    RecipeError : another sample rate than 16 kHz, or a hop outside 1 … 30 ms.
    """

    def __init__(self, config: Config, sample_rate: int) -> None:
        if sample_rate != SAMPLE_RATE:
            raise RecipeError(f"micro_frontend hears 16000 Hz; got {sample_rate} Hz.", "Set sample_rate=16000.")
        if not 1 <= config.hop_ms <= 30:
            raise RecipeError(
                f"micro_frontend takes a hop of 1 to 30 ms; got {config.hop_ms}.", "Set frontend.hop_ms=10."
            )
        frames = FrameConfig(
            window_samples=WINDOW_SAMPLES,
            hop_samples=SAMPLE_RATE * config.hop_ms // 1000,
            n_fft=N_FFT,
            pad="none",
            scale=32768.0,
        )
        mel = MelConfig(bands=BANDS, f_min=F_MIN, f_max=F_MAX, mel_shape="mel")
        framing = Framing.of(frames, sample_rate)
        filters = mel_filters(mel, sample_rate, N_FFT)
        super().__init__(frames, sample_rate, framing, filters, Gain(), BANDS)
        self.config: Any = config


class Gain(nn.Module):
    """Energies (batch, frames, bands) → logarithms of what rises above each band's own noise, from 0 on."""

    def forward(self, energies: torch.Tensor) -> torch.Tensor:
        """The library's steps behind its filter bank."""
        signal = ((energies.clamp(min=0) + TINY).sqrt() / UNIT - CUT_OFF).clamp(min=0)
        noise = self.noise(signal)
        left = torch.maximum(signal - noise, REMAINING * signal)
        ratio = UNIT * left * (UNIT * noise + OFFSET) ** -STRENGTH
        shrunk = torch.where(ratio < 2, 16 * ratio.square(), 64 * (ratio - 1))
        return STEP * STEPS_PER_E * (UNIT * (shrunk - CUT_OFF_SHRUNK)).clamp(min=1).log()

    def noise(self, signal: torch.Tensor) -> torch.Tensor:
        """n[t] = s·x[t] + (1 − s)·n[t − 1] for every band, n before the first frame 0, as products with a triangle."""
        frames = torch.arange(signal.shape[1], device=signal.device)
        age = frames[:, None] - frames[None, :]
        past = (age >= 0).to(signal.dtype)
        parts = []
        for share in (EVEN_SMOOTHING, ODD_SMOOTHING):
            kernel = past * share * torch.exp(math.log(1 - share) * age.clamp(min=0).to(signal.dtype))
            parts.append(torch.matmul(kernel, signal))
        odd = torch.arange(BANDS, device=signal.device) % 2 == 1
        return torch.where(odd, parts[1], parts[0])
