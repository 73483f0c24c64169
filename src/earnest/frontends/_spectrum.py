"""From audio to (projected) power spectra, twice: a fast evaluation for training and a convolution for export."""

from __future__ import annotations

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


class ConvolutionSpectrum(nn.Module):
    """The same numbers as `Spectrum`, as one convolution with sine and cosine kernels.

    Mean removal, pre-emphasis and window are linear, so they are folded into the kernels. Bins that the projection
    never uses are left out. No shape is looked at in Python: batch and samples stay dynamic in an exported graph.
    """

    kernels: torch.Tensor
    ones: torch.Tensor
    projection: torch.Tensor | None

    def __init__(self, config: FrameConfig, framing: Framing, projection: np.ndarray | None, energy: bool) -> None:
        super().__init__()
        self.config, self.framing, self.energy = config, framing, energy
        used = np.arange(framing.n_fft // 2 + 1)
        if projection is not None:
            used = np.flatnonzero(projection.any(axis=1))
            projection = projection[used]
        self.bins = len(used)
        self.register_buffer("kernels", torch.from_numpy(kernels(config, framing, used)).float(), persistent=False)
        self.register_buffer("ones", torch.ones(1, 1, framing.window), persistent=False)
        matrix = None if projection is None else torch.from_numpy(projection).float()
        self.register_buffer("projection", matrix, persistent=False)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """Spectra of all frames; (batch, samples) → (batch, frames, bands)."""
        padded = self.framing.pad_for_export(audio).unsqueeze(1)
        parts = F.conv1d(padded, self.kernels, stride=self.framing.hop).square()
        power = (parts[:, : self.bins] + parts[:, self.bins :]).transpose(1, 2)
        if self.config.power != 2:
            power = power.clamp_min(TINY) ** (self.config.power / 2)
        bands = power if self.projection is None else power @ self.projection
        if self.energy:
            padded = padded * self.config.scale
            total = F.conv1d(padded, self.ones, stride=self.framing.hop)
            squares = F.conv1d(padded.square(), self.ones, stride=self.framing.hop)
            energy = (squares - total.square() / self.framing.window).clamp_min(0)
            bands = torch.cat([bands, energy.transpose(1, 2)], dim=-1)
        return bands


def kernels(config: FrameConfig, framing: Framing, bins: np.ndarray) -> np.ndarray:
    """The frame's whole linear path as (2 × bins, 1, window) float64 kernels, cosines first."""
    samples = np.arange(framing.window)
    angle = 2 * np.pi * np.outer(bins, samples) / framing.n_fft
    rows = np.concatenate([np.cos(angle), -np.sin(angle)])
    rows *= config.scale * window_function(config.window, framing.window, config.periodic)
    if config.pre_emphasis:
        # The transpose of y[n] = x[n] - a x[n - 1], y[0] = (1 - a) x[0].
        following = np.concatenate([rows[:, 1:], np.zeros((len(rows), 1))], axis=1)
        first = rows[:, 0].copy()
        rows = rows - config.pre_emphasis * following
        rows[:, 0] -= config.pre_emphasis * first
    if config.remove_dc:
        rows = rows - rows.mean(axis=1, keepdims=True)
    return rows[:, None, :]
