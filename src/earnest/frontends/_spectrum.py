"""From audio to (projected) power spectra, twice: a fast evaluation for training, and matrix products for export."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from earnest.frontends._framing import FrameConfig, Framing, window_function

BLOCK_FRAMES = 512
"""Frames per transform: their spectra stay in a core's cache until they are projected."""

BANDS_TOGETHER = 16
"""Neighbouring bands share few bins: so many at a time are multiplied with only the bins they use."""

TINY = 1e-30
"""The smallest power that a root is taken of, so that its gradient stays finite."""


class Banded(nn.Module):
    """Spectra (frames, bins) times a (bins, bands) matrix that is zero away from a diagonal."""

    def __init__(self, matrix: np.ndarray) -> None:
        super().__init__()
        self.places: list[tuple[int, int]] = []
        for index, start in enumerate(range(0, matrix.shape[1], BANDS_TOGETHER)):
            block = matrix[:, start : start + BANDS_TOGETHER]
            used = np.flatnonzero(block.any(axis=1))
            low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
            self.places.append((low, high))
            values = torch.from_numpy(np.ascontiguousarray(block[low:high])).float()
            self.register_buffer(f"block{index}", values, persistent=False)

    def forward(self, spectra: torch.Tensor) -> torch.Tensor:
        """(frames, bins) → (frames, bands)."""
        blocks = [spectra[:, low:high] @ block for (low, high), block in zip(self.places, self.buffers(), strict=True)]
        return torch.cat(blocks, dim=1)


class Spectrum(nn.Module):
    """Audio (batch, samples) → (batch, frames, bins or bands), by real Fourier transforms over blocks of frames.

    Parameters
    ----------
    config, framing : the numbers, and the same worked out in samples.
    projection : (bins, bands) matrix applied to each spectrum, or None for the spectrum itself.
    energy : append the frame's own energy (mean removed, before pre-emphasis and window) as one more band.
    """

    window: torch.Tensor

    def __init__(self, config: FrameConfig, framing: Framing, projection: np.ndarray | None, energy: bool) -> None:
        super().__init__()
        self.config, self.framing, self.energy = config, framing, energy
        window = config.scale * window_function(config.window, framing.window, config.periodic)
        self.first = float(window[0])
        window = np.pad(window, (0, framing.n_fft - framing.window))
        self.register_buffer("window", torch.from_numpy(window).float(), persistent=False)
        self.projection = nn.Identity() if projection is None else Banded(projection)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Spectra of all frames; (batch, samples) → (batch, frames, bands)."""
        blocks = [self._spectra(*block) for block in self._blocks(audio)]
        values = blocks[0] if len(blocks) == 1 else torch.cat(blocks)
        return values.view(audio.shape[0], self.framing.frames_for(audio.shape[1]), -1)

    def _blocks(self, audio: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Views of about BLOCK_FRAMES frames (clips, frames, n_fft): of the audio, and of it after pre-emphasis."""
        n_fft, hop, emphasis = self.framing.n_fft, self.framing.hop, self.config.pre_emphasis
        audio = emphasised = self.framing.pad(audio, n_fft - self.framing.window)
        if emphasis:
            change = torch.sub(audio[:, 1:], audio[:, :-1], alpha=emphasis)
            emphasised = torch.cat([audio[:, :1], change], dim=1)
        plain, framed = audio.unfold(1, n_fft, hop), emphasised.unfold(1, n_fft, hop)
        clips, frames = framed.shape[:2]
        together = -(-BLOCK_FRAMES // frames)
        for clip in range(0, clips, together):
            for frame in range(0, frames, BLOCK_FRAMES):
                place = (slice(clip, clip + together), slice(frame, frame + BLOCK_FRAMES))
                yield plain[place], framed[place]

    def _spectra(self, plain: torch.Tensor, framed: torch.Tensor) -> torch.Tensor:
        """(clips, frames, n_fft) → (clips × frames, bands)."""
        config, samples = self.config, self.framing.window
        windowed = (framed * self.window).flatten(0, 1)
        if config.pre_emphasis and self.first:
            # Inside a frame the sample before the first is the first itself.
            change = self.first * ((1 - config.pre_emphasis) * plain[..., 0] - framed[..., 0])
            windowed = windowed + F.pad(change.reshape(-1, 1), (0, self.framing.n_fft - 1))
        if config.remove_dc or self.energy:
            mean = plain[..., :samples].mean(dim=-1, keepdim=True)
        if config.remove_dc:
            offset = self.window.unsqueeze(0)
            windowed = torch.addmm(windowed, mean.flatten(0, 1), offset, alpha=config.pre_emphasis - 1)
        spectrum = torch.fft.rfft(windowed)
        power = spectrum.real.square() + spectrum.imag.square()
        if config.power != 2:
            power = power.clamp_min(TINY) ** (config.power / 2)
        bands: torch.Tensor = self.projection(power)
        if self.energy:
            energy = ((plain[..., :samples] - mean) * config.scale).square().sum(-1).reshape(-1, 1)
            bands = torch.cat([bands, energy], dim=-1)
        return bands


class FactoredSpectrum(nn.Module):
    """The same numbers as `Spectrum`, its Fourier transform as two matrix products (Cooley and Tukey 1965).

    With n_fft = R × S, a frame's samples n = R a + b and its bins k = q + S p:

        X[q + S p] = Σ_b exp(-2πi b (q + S p) / n_fft) Σ_a x[R a + b] exp(-2πi a q / S)

    The inner sums are one product per b, the outer sums one for all. That is several times less to multiply than one
    product with all sines and cosines, and its sums are short, so that quiet bands beside loud ones stay what they are
    in single precision. No shape is looked at in Python: batch and samples stay dynamic in an exported graph.
    """

    pieces: torch.Tensor
    foremost: torch.Tensor
    window: torch.Tensor
    inner: torch.Tensor
    outer: torch.Tensor
    cut: torch.Tensor
    mean: torch.Tensor
    projection: torch.Tensor | None

    def __init__(self, config: FrameConfig, framing: Framing, projection: np.ndarray | None, energy: bool) -> None:
        super().__init__()
        self.config, self.framing, self.energy = config, framing, energy
        window = config.scale * window_function(config.window, framing.window, config.periodic)
        self.first = float(window[0])
        window = np.pad(window, (0, framing.n_fft - framing.window))
        self.rows, self.columns = factors(framing.n_fft)
        self.piece = math.gcd(framing.hop, self.rows)
        order = np.arange(framing.n_fft).reshape(self.columns, self.rows).T  # [b, a] = R a + b
        inner, outer = transforms(self.rows, self.columns)
        matrix = None if projection is None else torch.from_numpy(np.ascontiguousarray(projection)).float()
        values = {
            "pieces": torch.arange(framing.n_fft // self.piece),
            "foremost": torch.from_numpy(order == 0).float()[:, None],  # (R, 1, S)
            "window": torch.from_numpy(window[order]).float()[:, None],
            "inner": torch.from_numpy(inner).float(),
            "outer": torch.from_numpy(outer).float(),
            "cut": torch.eye(self.piece)[:, None],
            "mean": torch.full((1, 1, framing.window), 1 / framing.window),
            "projection": matrix,
        }
        for name, value in values.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Spectra of all frames; (batch, samples) → (batch, frames, bands)."""
        config, batch = self.config, audio.shape[0]
        padded = self.framing.pad_for_export(audio)
        frames = self._frames(padded)  # (R, batch × frames, S)
        if config.remove_dc or self.energy:
            means = F.conv1d(padded[:, None], self.mean, stride=self.framing.hop)  # (batch, 1, frames)
        if config.remove_dc:
            frames = frames + (config.pre_emphasis - 1) * means.reshape(1, -1, 1) * self.window
        parts = torch.matmul(frames, self.inner)  # (R, batch × frames, 2 S): real parts, then imaginary ones
        parts = parts.reshape(self.rows, -1, 2, self.columns).permute(2, 0, 1, 3).reshape(2 * self.rows, -1)
        squares = torch.matmul(self.outer, parts).square()  # (2 P, batch × frames × S)
        half = self.outer.shape[0] // 2
        power = (squares[:half] + squares[half:]).reshape(half, -1, self.columns).transpose(0, 1)
        power = power.reshape(batch, -1, half * self.columns)[..., : self.framing.n_fft // 2 + 1]
        if config.power != 2:
            power = power.clamp_min(TINY) ** (config.power / 2)
        bands = power if self.projection is None else power @ self.projection
        if self.energy:
            squared = F.conv1d(padded.square()[:, None], self.mean, stride=self.framing.hop)
            energy = (squared - means.square()).clamp_min(0) * (self.framing.window * config.scale**2)
            bands = torch.cat([bands, energy.transpose(1, 2)], dim=-1)
        return bands

    def _frames(self, padded: torch.Tensor) -> torch.Tensor:
        """Frames after pre-emphasis and window, their samples in the order of the transform; (R, batch × frames, S)."""
        hop, emphasis = self.framing.hop, self.config.pre_emphasis
        count = (padded.shape[1] - self.framing.window) // hop + 1
        padded = F.pad(padded, (0, self.framing.n_fft - self.framing.window))
        framed = padded
        if emphasis:
            framed = torch.cat([padded[:, :1], padded[:, 1:] - emphasis * padded[:, :-1]], dim=1)
        # Whole pieces are gathered, which is several times faster than single samples.
        # A convolution cuts them without looking at sizes; what fills no piece at the end belongs to no frame.
        parts = F.conv1d(framed[:, None], self.cut, stride=self.piece).transpose(1, 2)
        starts = torch.arange(count, device=padded.device)
        places = (hop // self.piece * starts[:, None] + self.pieces).reshape(-1)
        frames = parts.index_select(1, places).reshape(-1, self.columns, self.rows).permute(2, 0, 1) * self.window
        if emphasis and self.first:
            # Inside a frame the sample before the first is the first itself.
            ahead, here = padded.index_select(1, hop * starts), framed.index_select(1, hop * starts)
            change = self.first * ((1 - emphasis) * ahead - here).reshape(1, -1, 1)
            frames = frames + change * self.foremost
        return frames


def factors(n_fft: int) -> tuple[int, int]:
    """R and S with R S = n_fft, for which the two products are least to multiply."""
    choices = [(rows, n_fft // rows) for rows in range(1, n_fft + 1) if n_fft % rows == 0]
    return min(choices, key=lambda pair: 2 * pair[1] + 4 * (pair[0] // 2 + 1))


def transforms(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The matrices of both products in float64: (R, S, 2 S) with the rotations by b in it, and (2 P, 2 R)."""
    turn = -2j * np.pi
    places = np.arange(columns)
    inner = np.exp(turn * np.outer(places, places) / columns)[None]  # [a, q]
    inner = inner * np.exp(turn * np.outer(np.arange(rows), places) / (rows * columns))[:, None]  # [b, a, q]
    outer = np.exp(turn * np.outer(np.arange(rows // 2 + 1), np.arange(rows)) / rows)  # [p, b]
    whole = np.block([[outer.real, -outer.imag], [outer.imag, outer.real]])
    return np.concatenate([inner.real, inner.imag], axis=2), whole
