"""Logarithms with a floor, and what stands on them: cosine transform and differences over time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from earnest.errors import RecipeError
from earnest.frontends._framing import Framing, Positive

LogKind = Literal["natural", "log10", "db", "none"]
FACTORS = {"natural": 1.0, "log10": 1 / np.log(10), "db": 10 / np.log(10)}


@dataclass(frozen=True)
class LogConfig:
    """How energies are compressed.

    Parameters
    ----------
    log : `natural`, `log10`, `db` (10 log10) or `none`.
    floor : the smallest energy; keeps silence finite.
    floor_mode : `clamp` takes max(energy, floor), `add` takes energy + floor.
    top_db : keep only what is within so many dB of the clip's maximum (librosa, whisper: 80). The result then depends
        on the whole clip, so a stream cannot reproduce it; None leaves it out.
    offset, factor : (x + offset) × factor after the logarithm (whisper: 4 and 0.25).
    """

    log: LogKind = "natural"
    floor: Positive = 1e-6
    floor_mode: Literal["clamp", "add"] = "add"
    top_db: Positive | None = None
    offset: float = 0.0
    factor: float = 1.0


@dataclass(frozen=True)
class DifferenceConfig:
    """Which differences over time stand behind the static bands.

    Parameters
    ----------
    order : 1 static, 2 with Δ, 3 with Δ and ΔΔ; the output has order × the static bands.
    difference : `regression` (HTK, torchaudio) or `savgol` (librosa), see `Differences`.
    difference_width : frames that a difference looks at, odd.
    """

    order: Literal[1, 2, 3] = 1
    difference: Literal["regression", "savgol"] = "regression"
    difference_width: Annotated[int, Field(ge=3)] = 9

    def fewest_samples(self, framing: Framing) -> int:
        """The shortest input that has enough frames for these differences.

        Raises
        ------
        RecipeError : an even width.
        """
        if self.difference_width % 2 == 0:
            raise RecipeError(f"difference_width must be odd, got {self.difference_width}.", "Try 5 or 9.")
        if self.difference == "regression" or self.order == 1:
            return framing.min_samples
        longest = (self.difference_width - 1) * framing.hop + framing.window - framing.left - framing.right
        return max(framing.min_samples, longest)


class Compression(nn.Module):
    """Energies (batch, frames, bands) → compressed energies of the same shape."""

    def __init__(self, config: LogConfig) -> None:
        super().__init__()
        self.config = config
        self.scale = FACTORS.get(config.log, 1.0)
        self.range = None if config.top_db is None else config.top_db * self.scale / FACTORS["db"]

    def forward(self, energies: torch.Tensor) -> torch.Tensor:
        """Floor, logarithm, range, offset and factor, in this order."""
        config, values = self.config, energies
        if config.log != "none":
            if config.floor_mode == "clamp":
                values = torch.log(values.clamp_min(config.floor))
            elif torch.compiler.is_exporting():
                # The exporter's optimiser takes an added constant below 1e-8 for zero and drops it; it never drops 1.
                values = torch.log(values / config.floor + 1.0) + math.log(config.floor)
            else:
                values = torch.log(values + config.floor)
            if self.scale != 1:
                values = values * self.scale
        if self.range is not None:
            values = torch.maximum(values, values.amax(dim=(1, 2), keepdim=True) - self.range)
        if config.offset:
            values = values + config.offset
        return values * config.factor if config.factor != 1 else values


def cosine_matrix(bands: int, coefficients: int) -> np.ndarray:
    """The orthonormal DCT-II as a (bands, coefficients) float64 matrix."""
    angle = np.pi / bands * np.outer(np.arange(bands) + 0.5, np.arange(coefficients))
    matrix = np.cos(angle) * np.sqrt(2 / bands)
    matrix[:, 0] = np.sqrt(1 / bands)
    return np.asarray(matrix)


def lifter_weights(coefficients: int, lifter: float, offset: int) -> np.ndarray:
    """Weights 1 + L / 2 × sin(π (n + offset) / L) of the coefficients n = 0, 1, …; ones where L is 0."""
    if lifter == 0:
        return np.ones(coefficients)
    return np.asarray(1 + lifter / 2 * np.sin(np.pi * (np.arange(coefficients) + offset) / lifter))


class Differences(nn.Module):
    """Appends the first (order 2) and also the second (order 3) difference over time to the bands.

    Parameters
    ----------
    order : 1 static, 2 with Δ, 3 with Δ and ΔΔ.
    width : odd number of frames that a difference is fitted to.
    mode : `regression` is the slope of a straight line through `width` frames, the end frames repeated, and ΔΔ is the Δ
        of Δ (HTK book, eq. 5.16; torchaudio). `savgol` fits a polynomial of degree 1 (Δ) or 2 (ΔΔ) and takes its
        derivative; the ends come from the first and last `width` frames (librosa); needs at least `width` frames.
    """

    slope: torch.Tensor
    fits: torch.Tensor

    def __init__(self, order: int, width: int, mode: Literal["regression", "savgol"]) -> None:
        super().__init__()
        self.order, self.width, self.mode = order, width, mode
        half = width // 2
        steps = np.arange(-half, half + 1, dtype=np.float64)
        self.register_buffer("slope", torch.from_numpy(steps / (steps**2).sum()).float(), persistent=False)
        fits = np.stack([_fitted(steps, degree) for degree in (1, 2)])
        self.register_buffer("fits", torch.from_numpy(fits).float(), persistent=False)

    def forward(self, static: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) → (batch, frames, order × bands)."""
        parts = [static]
        for degree in range(1, self.order):
            parts.append(self._slope(parts[-1]) if self.mode == "regression" else self._fit(static, degree))
        return torch.cat(parts, dim=-1)

    def _slope(self, values: torch.Tensor) -> torch.Tensor:
        half = self.width // 2
        first, last = values[:, :1].expand(-1, half, -1), values[:, -1:].expand(-1, half, -1)
        return _correlate(torch.cat([first, values, last], dim=1), self.slope)

    def _fit(self, values: torch.Tensor, degree: int) -> torch.Tensor:
        # The derivative of order `degree` of a polynomial of that degree is the same at all its frames.
        half, fit = self.width // 2, self.fits[degree - 1]
        middle = _correlate(values, fit)
        first, last = middle[:, :1].expand(-1, half, -1), middle[:, -1:].expand(-1, half, -1)
        return torch.cat([first, middle, last], dim=1)


def _fitted(steps: np.ndarray, degree: int) -> np.ndarray:
    """Weights of the values at `steps` in the `degree`-th derivative of the polynomial fitted to them."""
    return np.asarray(np.linalg.pinv(np.vander(steps, degree + 1, increasing=True))[degree] * degree)


def _correlate(values: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """(batch, frames, bands) with a (width,) kernel → (batch, frames - width + 1, bands)."""
    batch, _, bands = values.shape
    rows = values.transpose(1, 2).flatten(0, 1).unsqueeze(1)
    return F.conv1d(rows, kernel.view(1, 1, -1)).view(batch, bands, -1).transpose(1, 2)
