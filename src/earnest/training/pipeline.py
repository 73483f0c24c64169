"""Front end → normaliser → model, as one module: what is trained, scored and exported is the same thing.

audio (batch, samples) ─ frontend ─► (batch, frames, bands) ─ normaliser ─► same ─ model ─► (batch, outputs)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn


class Normaliser(nn.Module):
    """Shift and scale each band by the mean and deviation of the training rows.

    Deviations below 1e-5 (bands that never change) are taken as 1.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(bands))
        self.register_buffer("deviation", torch.ones(bands))

    def fit(self, features: Iterable[torch.Tensor]) -> None:
        """Measure mean and deviation over (frames, bands) features, in float64."""
        count = 0
        total = torch.zeros(len(self.mean), dtype=torch.float64)
        squares = torch.zeros_like(total)
        for clip in features:
            exact = clip.double()
            count += len(exact)
            total += exact.sum(0)
            squares += exact.square().sum(0)
        mean = total / max(count, 1)
        deviation = (squares / max(count, 1) - mean.square()).clamp_min(0).sqrt()
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation < 1e-5, torch.ones_like(deviation), deviation))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(batch, frames, bands) or (frames, bands), same out."""
        return (features - self.mean) / self.deviation


class Members(nn.Module):
    """Several models of one architecture whose outputs are averaged: one model to score and to export."""

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, frames, bands) → (batch, outputs): the mean of the members' outputs."""
        return torch.stack([model(features, lengths) for model in self.models]).mean(0)


class Pipeline(nn.Module):
    """Raw audio in, outputs out."""

    def __init__(self, frontend: nn.Module, normaliser: nn.Module, model: nn.Module) -> None:
        super().__init__()
        self.frontend = frontend
        self.normaliser = normaliser
        self.model = model

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """(batch, samples) float32 → (batch, outputs); every sample counts as sound."""
        outputs: torch.Tensor = self.model(self.normaliser(self.frontend(audio)), None)
        return outputs

    def for_export(self) -> Pipeline:
        """The same numbers, with the front end in the form that exports."""
        return Pipeline(self.frontend.for_export(), self.normaliser, self.model).eval()  # type: ignore[operator]
