"""MixedNet: the network of wake words on microcontrollers, made to be computed a few frames at a time.

    features ─ conv along time, stride, ReLU ─ blocks [mixed depthwise along time, pointwise, BN, ReLU] ─ mean ─ dense

The architecture of K. Ahrendt's microWakeWord (`microwakeword/mixednet.py`), after M. Tan, Q. V. Le, "MixConv: Mixed
Depthwise Convolutional Kernels", arXiv:1907.09595: in a block the channels are shared out among kernels of several
lengths. No convolution pads along time, so that each looks at the past alone, and a stream, in which every convolution
keeps the few frames that it will need again, gives the numbers of the whole window. Deviations: kernels are shorter, so
that the network fits a window of one second (microWakeWord's own are `kernels=[[5],[7,11],[9,15],[23]]` for 1.5 s and
more, with 64 channels), the answers of the last frames are averaged instead of laid side by side, and there are as many
outputs as classes. 23,010 parameters with 40 bands and 2 outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from earnest.errors import RecipeError
from earnest.models import Example
from earnest.models._masking import blank

SHAPE = "clip"
FIXED_INPUT = True
EXAMPLE = Example(frames=98, bands=40)


@dataclass(frozen=True)
class Config:
    """The architecture's numbers.

    Attributes
    ----------
    first : filters of the first convolution.
    first_kernel, stride : its length and step, in frames; a device computes once for each `stride` frames.
    channels : of the blocks.
    kernels : lengths of the depthwise convolutions of each block, in steps.
    dropout : in front of the last layer.
    """

    first: int = 32
    first_kernel: int = 5
    stride: int = 3
    channels: int = 64
    kernels: tuple[tuple[int, ...], ...] = ((5,), (5, 7), (7, 9), (9,))
    dropout: float = 0.1


@dataclass(frozen=True)
class Stage:
    """One convolution along time with all that follows it, as numbers: no batch norm is left.

    Attributes
    ----------
    weight : (after, before, kernel); (channels, 1, kernel) for a depthwise one.
    bias : (after,), or None.
    stride : in frames.
    depthwise, rectified : whether each channel is for itself, and whether a ReLU follows.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None
    stride: int = 1
    depthwise: bool = False
    rectified: bool = False

    @property
    def kernel(self) -> int:
        """Frames that one answer needs."""
        return int(self.weight.shape[2])

    def __call__(self, sequence: torch.Tensor) -> torch.Tensor:
        """(batch, before, frames) → (batch, after, (frames - kernel) // stride + 1)."""
        groups = len(self.weight) if self.depthwise else 1
        answer = functional.conv1d(sequence, self.weight, self.bias, self.stride, groups=groups)
        return functional.relu(answer) if self.rectified else answer


class MixedDepthwise(nn.Module):
    """Depthwise convolutions of several lengths, each over its share of the channels, aligned at the newest frame."""

    def __init__(self, channels: int, kernels: Sequence[int]) -> None:
        super().__init__()
        shares = [channels // len(kernels)] * len(kernels)
        shares[0] += channels - sum(shares)
        self.shares, self.kernels, self.longest = shares, tuple(kernels), max(kernels)
        self.parts = nn.ModuleList(
            nn.Conv1d(share, share, kernel, groups=share, bias=False)
            for share, kernel in zip(shares, kernels, strict=True)
        )

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """(batch, channels, frames - longest kernel + 1); a shorter kernel has no use for the oldest frames."""
        groups = sequence.split(self.shares, dim=1)  # type: ignore[no-untyped-call]
        answers = [
            part(group[:, :, self.longest - kernel :])
            for part, group, kernel in zip(self.parts, groups, self.kernels, strict=True)
        ]
        return torch.cat(answers, dim=1)

    def stage(self) -> Stage:
        """All of them as one convolution of the longest length: before a shorter kernel stand zeros."""
        weights: list[torch.Tensor] = [part.weight for part in self.parts]  # type: ignore[misc]
        weights = [functional.pad(weight, (self.longest - weight.shape[2], 0)) for weight in weights]
        return Stage(torch.cat(weights), None, depthwise=True)


class Block(nn.Module):
    """[Mixed depthwise, pointwise, BN, ReLU] on (batch, channels, frames); the longest kernel less one frames go."""

    def __init__(self, before: int, after: int, kernels: Sequence[int]) -> None:
        super().__init__()
        self.depthwise = MixedDepthwise(before, kernels)
        self.pointwise = nn.Conv1d(before, after, 1, bias=False)
        self.norm = nn.BatchNorm1d(after)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        """(batch, after, frames - longest kernel + 1)."""
        return functional.relu(self.norm(self.pointwise(self.depthwise(sequence))))

    def stages(self) -> tuple[Stage, Stage]:
        """The block in evaluation, its batch norm in the pointwise convolution."""
        scale, norm = _scale(self.norm), self.norm
        bias = norm.bias - _known(norm.running_mean) * scale
        return self.depthwise.stage(), Stage(self.pointwise.weight * scale[:, None, None], bias, rectified=True)


class Model(nn.Module):
    """Windows of one size to logits.

    Parameters
    ----------
    config : the architecture's numbers.
    frames, bands : size of every input; frames at the front that fill no stride are not used.
    outputs : number of logits.

    Raises
    ------
    RecipeError : the window is shorter than what one answer needs, frames are skipped, or blocks or kernels lack.
    """

    def __init__(self, config: Config, frames: int, bands: int, outputs: int) -> None:
        super().__init__()
        lengths = [length for block in config.kernels for length in block]
        if not config.kernels or not all(config.kernels) or min(lengths) < 1:
            raise RecipeError(
                f"mixednet needs kernels of one frame or more in every block, got {config.kernels}.",
                "Example: model.kernels=[[5],[5,7],[7,9],[9]]",
            )
        if config.first_kernel < config.stride:
            raise RecipeError(
                f"mixednet would skip frames: stride {config.stride} with a first kernel of {config.first_kernel}.",
                "Set model.first_kernel to the stride or more.",
            )
        needed = config.first_kernel + config.stride * sum(max(block) - 1 for block in config.kernels)
        if frames < needed:
            raise RecipeError(
                f"mixednet with kernels {[list(block) for block in config.kernels]} and stride {config.stride} needs "
                f"{needed} frames or more; the window has {frames}.",
                "Set a longer clips.window_s, or shorter model.kernels.",
            )
        self.stride, self.unused = config.stride, (frames - config.first_kernel) % config.stride
        self.averaged = (frames - needed) // config.stride + 1
        self.first = nn.Conv1d(bands, config.first, config.first_kernel, config.stride, bias=False)
        sizes = (config.first, *[config.channels] * len(config.kernels))
        self.blocks = nn.ModuleList(
            Block(before, config.channels, kernels) for before, kernels in zip(sizes, config.kernels, strict=False)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.channels, outputs)

    def embed(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Mean of the newest answers (batch, channels) to features (batch, frames, bands)."""
        sequence = blank(features.transpose(1, 2).unsqueeze(3), lengths).squeeze(3)  # (batch, bands, frames)
        sequence = functional.relu(self.first(sequence[:, :, self.unused :]))
        for block in self.blocks:
            sequence = block(sequence)
        return sequence.mean(dim=2)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of features (batch, frames, bands)."""
        logits: torch.Tensor = self.output(self.dropout(self.embed(features, lengths)))
        return logits

    def stages(self) -> list[Stage]:
        """The convolutions in their order, as they are in evaluation; behind them come the mean of the newest
        `averaged` answers, and the last layer."""
        stages = [Stage(self.first.weight, None, self.stride, rectified=True)]
        for block in self.blocks:
            stages.extend(block.stages())  # type: ignore[operator]
        return stages


def _scale(norm: nn.BatchNorm1d) -> torch.Tensor:
    return norm.weight / (_known(norm.running_var) + norm.eps).sqrt()


def _known(statistics: torch.Tensor | None) -> torch.Tensor:
    """Running statistics, which these norms always have."""
    if statistics is None:
        raise TypeError("a batch norm without running statistics")
    return statistics
