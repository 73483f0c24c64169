"""BC-ResNet: residual blocks whose temporal half runs on one band and is broadcast back over all of them.

B. Kim, S. Chang, J. Lee, D. Sung, "Broadcasted Residual Learning for Efficient Keyword Spotting", Interspeech 2021,
arXiv:2106.04140, tables 1 and 2, made for 40 log-mel bands. `tau` multiplies every width (1, 1.5, 2, 3, 6, 8 in the
paper); tau 1 has 9,232 parameters at 12 outputs.

Deviations, so that any number of bands works: sub-spectral normalisation takes the largest number of equal sub-bands
up to 5 that divides the bands at hand (5 throughout for 40 bands), and the last depthwise kernel, 5 bands high, shrinks
to the bands that are left and is followed by a mean over what it leaves (nothing is left over for 40 bands).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models._masking import blank, mean_over_frames

SHAPE = "clip"
FIXED_INPUT = False
STAGE_BLOCKS = (2, 2, 4, 4)
STAGE_WIDTHS = (1.0, 1.5, 2.0, 2.5)  # times 8 tau channels
STAGE_STRIDES = (1, 2, 2, 1)  # along the bands
SUB_BANDS = 5


@dataclass(frozen=True)
class Config:
    """Width multiplier, and the channel dropout of the temporal half of each block."""

    tau: float = 1.0
    dropout: float = 0.1


class SubSpectralNorm(nn.Module):
    """Batch normalisation with statistics and scales of its own for each sub-band (arXiv:2103.13620)."""

    def __init__(self, channels: int, bands: int) -> None:
        super().__init__()
        self.parts = max(parts for parts in range(1, SUB_BANDS + 1) if bands % parts == 0)
        self.norm = nn.BatchNorm2d(channels * self.parts)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """An image of the same size, (batch, channels, frames, bands); in evaluation, one product and sum."""
        _, channels, frames, bands = image.shape
        if not self.training:
            scale, shift = self._affine(bands)
            return image * scale + shift
        split = image.reshape(-1, channels, frames, self.parts, bands // self.parts)
        stacked = split.transpose(2, 3).reshape(-1, channels * self.parts, frames, bands // self.parts)
        normed: torch.Tensor = self.norm(stacked)
        normed = normed.reshape(-1, channels, self.parts, frames, bands // self.parts)
        return normed.transpose(2, 3).reshape(-1, channels, frames, bands)

    def _affine(self, bands: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What the norm multiplies with and adds in evaluation, each (channels, 1, bands).

        No rearranged images: microcontrollers and 8-bit runtimes take the norm as it is.
        """
        mean, variance = self.norm.get_buffer("running_mean"), self.norm.get_buffer("running_var")
        scale = self.norm.weight / (variance + self.norm.eps).sqrt()
        shift = self.norm.bias - mean * scale
        widened = [
            value.reshape(-1, self.parts).repeat_interleave(bands // self.parts, dim=1) for value in (scale, shift)
        ]
        return widened[0].unsqueeze(1), widened[1].unsqueeze(1)


class BroadcastBlock(nn.Module):
    """One block: y = relu(x + f2(x) + broadcast(f1(mean over bands of f2(x)))), x being left out in a transition."""

    def __init__(self, before: int, after: int, bands: int, stride: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.transition = before != after
        self.widen: nn.Module = nn.Identity()
        if self.transition:
            self.widen = nn.Sequential(nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
        self.over_bands = nn.Conv2d(after, after, (1, 3), (1, stride), (0, 1), groups=after, bias=False)
        self.sub_norm = SubSpectralNorm(after, _strided(bands, stride))
        self.over_frames = nn.Conv2d(
            after, after, (3, 1), padding=(dilation, 0), dilation=(dilation, 1), groups=after, bias=False
        )
        self.frames_norm = nn.BatchNorm2d(after)
        self.pointwise = nn.Conv2d(after, after, 1, bias=False)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, image: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """(batch, after, frames, bands / stride)."""
        wide = self.sub_norm(self.over_bands(self.widen(image)))
        temporal = blank(wide.mean(dim=3, keepdim=True), lengths)  # (batch, after, frames, 1)
        temporal = functional.silu(self.frames_norm(self.over_frames(temporal)))
        total = wide + self.dropout(self.pointwise(temporal))
        return functional.relu(total if self.transition else total + image)


class Model(nn.Module):
    """Log-mel frames to logits, for any number of frames; `bands` binds (40 in the paper, at least 8).

    Raises
    ------
    RecipeError : fewer than 8 bands.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        if bands < 8:
            raise RecipeError(
                f"bc_resnet halves its bands three times and needs at least 8, got {bands}.",
                "Give the front end more bands (40 in the paper).",
            )
        base = 8 * config.tau
        self.first = nn.Conv2d(1, int(2 * base), 5, stride=(1, 2), padding=2, bias=False)
        self.first_norm = nn.BatchNorm2d(int(2 * base))
        self.blocks = nn.ModuleList(_blocks(config, base, _strided(bands, 2)))
        left = _strided(_strided(_strided(bands, 2), 2), 2)
        last = int(STAGE_WIDTHS[-1] * base)
        self.head = nn.Conv2d(last, last, (5, min(5, left)), padding=(2, 0), groups=last, bias=False)
        self.mix = nn.Conv2d(last, int(4 * base), 1, bias=False)
        self.mix_norm = nn.BatchNorm2d(int(4 * base))
        self.output = nn.Linear(int(4 * base), outputs)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.embed(features, lengths))
        return logits

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """What the last layer sees, (batch, 32 tau)."""
        image = blank(features.unsqueeze(1), lengths)  # (batch, 1, frames, bands)
        image = functional.relu(self.first_norm(self.first(image)))
        for block in self.blocks:
            image = block(image, lengths)
        image = functional.relu(self.mix_norm(self.mix(self.head(blank(image, lengths)))))
        return mean_over_frames(image, lengths)


def _blocks(config: Config, base: float, bands: int) -> Iterator[BroadcastBlock]:
    before = int(2 * base)
    for stage, (count, width, stride) in enumerate(zip(STAGE_BLOCKS, STAGE_WIDTHS, STAGE_STRIDES, strict=True)):
        after = int(width * base)
        for index in range(count):
            step = stride if index == 0 else 1
            yield BroadcastBlock(before, after, bands, step, dilation=2**stage, dropout=config.dropout)
            before, bands = after, _strided(bands, step)


def _strided(bands: int, stride: int) -> int:
    """Bands behind a centred convolution of that stride."""
    return -(-bands // stride)
